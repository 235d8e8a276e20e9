/** `holdfast apply -f cluster.yaml`: stores the desired state, after showing how it differs. */
import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import type { YAMLError } from 'yaml';
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import type { Paint } from '../text/paint.ts';
import { ok, wrong, type Ended, type Fallible } from '../trouble.ts';

export interface ApplyOptions {
  readonly file: string;
  readonly dryRun?: boolean;
}

interface Applied {
  readonly changed: boolean;
  readonly dryRun: boolean;
  readonly differences: readonly string[];
  readonly warnings: readonly string[];
  readonly revision: string;
}

/** Far more than any cluster needs, and less than one message may have. */
const fileBytesMax = 1024 * 1024;
const errorsMax = 10;
const standardInput = 'standard input';

export async function apply(context: Context, options: ApplyOptions): Promise<Ended> {
  const { file, dryRun = false } = options;
  const text = await read(context, file);
  if (text.kind === 'error') return text;
  const name = file === '-' ? standardInput : file;
  const syntax = await syntaxErrors(text.value, name);
  if (syntax !== null) return wrong(syntax);
  return withCluster(context, async (client) => {
    const reply = await ask(client.apply({ yaml: text.value, file: name, dryRun }), `apply ${name}`);
    if (reply.kind === 'error') return reply;
    const { changed, differences, warnings, revision } = reply.value;
    const value: Applied = { changed, dryRun, differences, warnings, revision: revision.toString() };
    await show(context, { value, lines: (paint) => appliedLines(value, paint) });
    return ok(exitStatus.done);
  });
}

async function read(context: Context, file: string): Promise<Fallible<string>> {
  const name = file === '-' ? standardInput : file;
  let bytes: Uint8Array;
  try {
    bytes = file === '-' ? await context.readInput() : await readFile(file);
  } catch (error) {
    return wrong(`${name}: can't be read: ${reasonOf(error)}`, 'Check the name of the file after -f.');
  }
  if (bytes.length > fileBytesMax) return wrong(`${name}: is larger than 1 MiB; is it the right file?`);
  // Other bytes would become names of files that do not exist.
  if (!isUtf8(bytes)) return wrong(`${name}: is not UTF-8`, 'Save it as UTF-8.');
  return ok(new TextDecoder().decode(bytes));
}

function reasonOf(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  switch (code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EISDIR':
      return 'it is a folder';
    case 'EACCES':
    case 'EPERM':
      return 'this user may not read it';
    default:
      return String(error);
  }
}

/** Mistakes of YAML itself, with line and column; what the keys mean is judged by the cluster, which knows its members. */
async function syntaxErrors(text: string, name: string): Promise<string | null> {
  const { LineCounter, parseDocument } = await import('../text/yaml.ts');
  const lineCounter = new LineCounter();
  const { errors } = parseDocument(text, { lineCounter, prettyErrors: false });
  if (errors.length === 0) return null;
  const lines = errors.slice(0, errorsMax).map((error: YAMLError) => {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    const says =
      error.code === 'MULTIPLE_DOCS'
        ? 'a second document begins; write one only, without ---'
        : error.message;
    return `${name}: line ${line}, column ${col}: ${says}`;
  });
  const more = errors.length - lines.length;
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
}

function styleOfDifference(line: string): 'green' | 'red' | 'yellow' {
  if (line.endsWith(': added')) return 'green';
  return line.endsWith(': removed') ? 'red' : 'yellow';
}

function appliedLines({ changed, dryRun, differences, warnings, revision }: Applied, paint: Paint): string[] {
  const told = warnings.map((warning) => paint('yellow', `warning: ${warning}`));
  if (differences.length === 0 && !changed) return [...told, 'nothing differs: the cluster has this already'];
  const verdict = dryRun
    ? 'dry run: this is what apply would change; nothing was changed'
    : `applied as revision ${revision}`;
  return [...told, ...differences.map((line) => paint(styleOfDifference(line), line)), verdict];
}
