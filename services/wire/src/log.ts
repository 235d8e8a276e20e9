/**
 * What a process tells people: one line per event on standard error, JSON for machines, words on a terminal.
 * Level: HOLDFAST_LOG = error | warn | info | debug. Standard output belongs to the answers of commands.
 */
import { Writable } from 'node:stream';
import winston from 'winston';
import { jsonLine } from './log-line.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export type LogFields = Readonly<Record<string, unknown>>;

/** `kind`: a short fixed name of the event. `reason`: one sentence for a person. */
export interface Log {
  error(kind: string, reason: string, fields?: LogFields): void;
  warn(kind: string, reason: string, fields?: LogFields): void;
  info(kind: string, reason: string, fields?: LogFields): void;
  debug(kind: string, reason: string, fields?: LogFields): void;
}

export interface LogOptions {
  /** agent, quorum, run, cli ... */
  readonly process: string;
  readonly member: string;
  readonly level?: string;
  readonly terminal?: boolean;
  readonly stream?: NodeJS.WritableStream;
}

const levels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

/** Where winston leaves the formatted line (package triple-beam). */
const lineKey = Symbol.for('message');

/** Plain output, piped: winston's own transports are typed as constructors that TypeScript can't check. */
function lineWriter(stream: NodeJS.WritableStream): Writable {
  return new Writable({
    objectMode: true,
    write: (info: object, _encoding, next) => {
      stream.write(`${String(Reflect.get(info, lineKey))}\n`);
      next();
    },
  });
}

function forPeople(options: LogOptions, info: winston.Logform.TransformableInfo): string {
  const { level, message, kind, fields } = info;
  const time = new Date().toISOString().slice(11, 23);
  const rest = typeof fields === 'object' ? ` ${jsonLine(fields)}` : '';
  return `${time} ${level.toUpperCase().padEnd(5)} ${options.member}/${options.process} ${String(kind)}: ${String(message)}${rest}`;
}

function forMachines(options: LogOptions, info: winston.Logform.TransformableInfo): string {
  const { level, message, kind, fields } = info;
  const extra = typeof fields === 'object' && fields !== null ? fields : {};
  const { process: from, member } = options;
  return jsonLine({
    time: new Date().toISOString(),
    level,
    process: from,
    member,
    kind,
    reason: message,
    ...extra,
  });
}

export function createLog(options: LogOptions): Log {
  const wanted = options.level ?? process.env['HOLDFAST_LOG'] ?? 'info';
  const level = levels.find((known) => known === wanted) ?? 'info';
  const line = (options.terminal ?? process.stderr.isTTY) ? forPeople : forMachines;
  const logger = winston.createLogger({
    level,
    format: winston.format.printf((info) => line(options, info)),
    exitOnError: false,
  });
  logger.pipe(lineWriter(options.stream ?? process.stderr));
  const at =
    (to: LogLevel) =>
    (kind: string, reason: string, fields?: LogFields): void => {
      // Without a transport of winston's nobody else would look at the level.
      if (levels.indexOf(to) > levels.indexOf(level)) return;
      logger.log(to, reason, fields === undefined ? { kind } : { kind, fields });
    };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}
