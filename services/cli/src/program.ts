/**
 * The tree of commands: names, arguments, options, help. It loads nothing but commander; what a command needs is loaded
 * when it runs, so that `holdfast --help` and every answer come at once.
 */
import { Command, InvalidArgumentError, Option, type OutputConfiguration } from 'commander';
import { defaultDir, formats, type Context, type Format, type Surroundings } from './context.ts';
import { exitStatusHelp } from './exit-status.ts';
import type { ApplyOptions } from './commands/apply.ts';
import type { EventsOptions } from './commands/events.ts';
import type { InitOptions } from './commands/init.ts';
import type { JoinOptions } from './commands/join.ts';
import type { ChangeOptions, PlaceOptions, UpOptions } from './commands/lab.ts';
import type { MaintenanceOptions } from './commands/maintenance.ts';
import type { RecoverOptions } from './commands/recover.ts';
import type { RemoveOptions } from './commands/remove.ts';
import type { OperationCommand, OperationOptions } from './commands/operation.ts';
import type { TokenOptions } from './commands/token.ts';
import type { Act } from './act.ts';
import { addMirrorCommands } from './mirror-program.ts';
import type { Ended } from './trouble.ts';

interface GlobalOptions {
  readonly dir?: string;
  readonly output: Format;
}

export interface Program {
  readonly root: Command;
  /** How the command ended; null when none ran (help, wrong usage). */
  readonly ended: () => Ended | null;
}

const roles = ['server', 'witness', 'operator', 'viewer'] as const;
const several = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** An unset variable of a shell: not the folder in which the command runs. */
function notEmpty(value: string): string {
  if (value === '') throw new InvalidArgumentError('It is empty.');
  return value;
}

const examples = `
Examples:
  holdfast init --node a --address 10.77.0.11     make a cluster; then: holdfast run
  holdfast token                                  a join token for the next host
  holdfast apply -f cluster.yaml                  say what is to be protected
  holdfast status -w                              look at it
  holdfast switchover d3                          move a group, in order
  holdfast lab up                                 try all of it on this machine

${exitStatusHelp}`;

export function program(surroundings: Surroundings): Program {
  const root = new Command('holdfast');
  let ended: Ended | null = null;
  const context = (): Context => {
    const { dir, output } = root.opts<GlobalOptions>();
    const { HOLDFAST_DIR: fromEnv = '' } = surroundings.env;
    return { ...surroundings, dir: dir ?? (fromEnv === '' ? defaultDir : fromEnv), format: output };
  };
  const act =
    <Args extends readonly unknown[]>(work: (context: Context, ...args: Args) => Promise<Ended>) =>
    async (...args: Args): Promise<void> => {
      ended = await work(context(), ...args);
    };
  root
    // Commands that are made later inherit these.
    .exitOverride()
    .configureOutput(outputOf(surroundings))
    .description('Keeps a service and its data alive on paired servers.')
    .option('--dir <dir>', `the member's directory (or HOLDFAST_DIR; default ${defaultDir})`, notEmpty)
    .addOption(new Option('-o, --output <format>', 'form of the answer').choices(formats).default('table'))
    .option('-V, --version', 'print the version')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showSuggestionAfterError(true)
    .showHelpAfterError('Add --help to see what it takes.')
    .addHelpCommand(
      new Command('help').argument('[command]').description('display help for command').helpGroup('Other:'),
    )
    .addHelpText('after', examples);
  addMemberCommands(root, act);
  addReadCommands(root, act);
  addOperationCommands(root, act);
  addMirrorCommands(root, act, dryRun);
  addOtherCommands(root, act);
  return { root, ended: () => ended };
}

function outputOf({ terminal }: Surroundings): OutputConfiguration {
  return {
    writeOut: (text) => terminal.out(text),
    writeErr: (text) => terminal.err(text),
    getOutHelpWidth: () => terminal.columns,
    getErrHelpWidth: () => terminal.columns,
    getOutHasColors: () => terminal.colours,
    getErrHasColors: () => terminal.colours,
    outputError: (text, write) => write(text.replace(/^error: /, 'holdfast: ')),
  };
}

const dryRun = (command: Command): Command =>
  command.option('--dry-run', 'show what would be done, and change nothing');

function hostOptions(command: Command): Command {
  command
    .requiredOption('--node <name>', 'what this host is called in the cluster')
    .option(
      '--address <ip>',
      'own address, the service network first; may be repeated: each is a heartbeat path',
      several,
    );
  command.optionsGroup('Ports:');
  const ports = [
    ['grpc', 7443, 'gRPC: commands, quorum, agents'],
    ['heartbeat', 7444, 'heartbeats, UDP'],
    ['mirror', 7445, 'mirror data'],
    ['metrics', 7446, 'Prometheus metrics and health'],
    ['etcd-client', 7447, 'etcd, clients'],
    ['etcd-peer', 7448, 'etcd, peers'],
  ] as const;
  for (const [name, usual, says] of ports)
    command.option(`--port-${name} <port>`, `${says} (default ${usual})`);
  command.optionsGroup('An etcd that Holdfast does not run:');
  return command
    .option('--etcd-ca <file>', 'authority of its certificate, PEM')
    .option('--etcd-cert <file>', 'client certificate, PEM')
    .option('--etcd-key <file>', 'key of the client certificate, PEM');
}

function addMemberCommands(root: Command, act: Act): void {
  root.commandsGroup('Members:');
  dryRun(
    hostOptions(root.command('init'))
      .description("make a cluster: its authority, this host's certificate and directory; starts nothing")
      .option('--etcd <url>', 'its endpoint; may be repeated', several)
      .optionsGroup('Options:')
      .option('--cluster <name>', 'name of the cluster', 'holdfast')
      .addOption(
        new Option('--role <role>', 'server or witness').choices(['server', 'witness']).default('server'),
      ),
  ).action(
    act(async (context, options: InitOptions) => (await import('./commands/init.ts')).init(context, options)),
  );
  root
    .command('run')
    .description('run the member in the foreground; SIGTERM releases its groups in order')
    .option(
      '--keep',
      'leave services running when it ends (a restart or an upgrade); the next run re-attaches',
    )
    .action(
      act(async (context, options: { keep?: boolean }) =>
        (await import('./commands/run.ts')).run(context, options),
      ),
    );
  dryRun(
    root
      .command('token')
      .description('print a one-time join token, alone on the last line of standard output')
      .addOption(new Option('--role <role>', 'what the new member will be').choices(roles).default('server'))
      .option('--ttl <duration>', 'how long it can be used (default 1h)'),
  ).action(
    act(async (context, options: TokenOptions) =>
      (await import('./commands/token.ts')).token(context, options),
    ),
  );
  dryRun(
    hostOptions(root.command('join'))
      .description('make this host a member: obtain its certificate and the configuration')
      .optionsGroup('Options:')
      .requiredOption('--seed <ip[:port]>', 'a member that runs; may be repeated', several)
      .requiredOption('--token <token>', 'from `holdfast token`; - reads it from standard input')
      .addOption(
        new Option('--role <role>', 'what this host is to be (default: what the token is for)').choices(
          roles,
        ),
      ),
  ).action(
    act(async (context, options: JoinOptions) => (await import('./commands/join.ts')).join(context, options)),
  );
  dryRun(
    root
      .command('recover')
      .description(
        'go on with this member, which is stopped, as the only one that votes: the majority is gone for good',
      )
      .requiredOption('--alone', 'with its own copy of what the members decided')
      .option(
        '--without <member>',
        'another one that votes: it is off, and is never started again from its directory; once for each',
        several,
      ),
  ).action(
    act(async (context, options: RecoverOptions) =>
      (await import('./commands/recover.ts')).recover(context, options),
    ),
  );
}

function addReadCommands(root: Command, act: Act): void {
  root.commandsGroup('Desired state and status:');
  dryRun(
    root
      .command('apply')
      .description(
        'validate and store the desired state; shows the difference, moves nothing that did not change',
      )
      .requiredOption('-f, --file <file>', 'the configuration; - reads it from standard input'),
  ).action(
    act(async (context, options: ApplyOptions) =>
      (await import('./commands/apply.ts')).apply(context, options),
    ),
  );
  root
    .command('status')
    .description('the whole cluster at a glance')
    .option('-w, --watch', 'draw again every second')
    .action(
      act(async (context, options: { watch?: boolean }) =>
        (await import('./commands/status.ts')).status(context, options),
      ),
    );
  root
    .command('get')
    .description('list servers, groups, mirrors, operations or events, or show one')
    .argument('<what>', 'servers, groups, mirrors, operations or events')
    .argument('[name]', 'only this one')
    .option('-w, --watch', 'draw again every second')
    .action(
      act(async (context, what: string, name: string | undefined, options: { watch?: boolean }) =>
        (await import('./commands/get.ts')).get(context, what, name, options),
      ),
    );
  root
    .command('explain')
    .description('why a group is where it is, what would happen if each server died now, what blocks it')
    .argument('<group>')
    .action(
      act(async (context, group: string) => (await import('./commands/explain.ts')).explain(context, group)),
    );
  root
    .command('check')
    .description('everything that would make a takeover fail tonight')
    .argument('[group]', 'only what concerns this group')
    .action(
      act(async (context, group: string | undefined) =>
        (await import('./commands/check.ts')).check(context, group),
      ),
    );
  root
    .command('events')
    .description('the history, oldest first')
    .option('--follow', 'go on with what happens from now on')
    .option('--group <group>', 'only events of this group')
    .option('--limit <n>', 'only the last n events')
    .action(
      act(async (context, options: EventsOptions) =>
        (await import('./commands/events.ts')).events(context, options),
      ),
    );
  root
    .command('replay')
    .description('make a recorded decision again, from what it was made from')
    .argument('<event>', 'its name, as `events -o wide` shows it')
    .action(
      act(async (context, event: string) => (await import('./commands/replay.ts')).replay(context, event)),
    );
}

function addOperationCommands(root: Command, act: Act): void {
  root.commandsGroup('Operations:');
  const add = (kind: OperationCommand, argument: string, says: string): Command => {
    const command = root
      .command(kind)
      .description(says)
      .argument(argument)
      .option('--wait <duration>', 'how long to wait for its end (default: until it ends)')
      .action(
        act(async (context, target: string, options: OperationOptions) =>
          (await import('./commands/operation.ts')).operation(context, kind, target, options),
        ),
      );
    return dryRun(command);
  };
  add(
    'switchover',
    '<group>',
    'move a group to another server, planned; rolls back when a step fails early',
  ).option('--to <server>', 'where to (default: the next preferred server that can)');
  add('failback', '<group>', 'move a group back to its preferred server, planned');
  add('failover', '<group>', 'take a group over by hand; refuses what would lose data or collide')
    .requiredOption('--to <server>', 'the server that takes over')
    .option('--force', 'even so; the estimated loss is recorded');
  add(
    'release',
    '<group>',
    'ask once more for a group that was removed from the configuration, and that its owner refused to let go',
  ).option('--force', 'even if a hook refuses');
  add('approve', '<operation>', 'let an operation that waits for approval go on');
  add('deny', '<operation>', 'end an operation that waits for approval');
  dryRun(
    root
      .command('remove')
      .description('forget a member that is off for good, and its vote')
      .argument('<member>'),
  ).action(
    act(async (context, member: string, options: RemoveOptions) =>
      (await import('./commands/remove.ts')).remove(context, member, options),
    ),
  );
  dryRun(
    root
      .command('maintenance')
      .description('on: decisions are explained, not carried out')
      .addArgument(root.createArgument('<state>', 'on or off').choices(['on', 'off']))
      .option('--server <server>', 'only this server')
      .option('--group <group>', 'only this group')
      .option('--reason <text>', 'why, for the others'),
  ).action(
    act(async (context, state: string, options: MaintenanceOptions) =>
      (await import('./commands/maintenance.ts')).maintenance(context, state, options),
    ),
  );
}

function addOtherCommands(root: Command, act: Act): void {
  root.commandsGroup('Other:');
  const lab = root
    .command('lab')
    .description('several hosts on this machine, for trying the product')
    .option('--lab-dir <dir>', 'where the lab lives (default: a directory of this user in /tmp)');
  const labDir = (): PlaceOptions => lab.opts<PlaceOptions>();
  dryRun(lab.command('up'))
    .description('make the hosts, a cluster of a, b and the witness w, and the group d3')
    .option('--outage <duration>', 'how long a server must be silent to be declared down', '5s')
    .option(
      '--hosts <names>',
      'comma-separated; a name that begins with w is a witness, with client none',
      'a,b,w,client',
    )
    .option('--bare', 'only the hosts, without a cluster')
    .action(
      act(async (context, options: UpOptions) =>
        (await import('./commands/lab.ts')).labUp(context, { ...options, ...labDir() }),
      ),
    );
  dryRun(lab.command('down'))
    .description('end everything in the lab and remove its files')
    .action(
      act(async (context, options: ChangeOptions) =>
        (await import('./commands/lab.ts')).labDown(context, { ...options, ...labDir() }),
      ),
    );
  lab
    .command('exec')
    .description('run a program on a host: holdfast lab exec a -- holdfast status')
    .argument('<host>')
    .argument('<argv...>', 'the program and its arguments, after --')
    .action(
      act(async (context, host: string, argv: readonly string[]) =>
        (await import('./commands/lab.ts')).labExec(context, host, argv, labDir()),
      ),
    );
  dryRun(lab.command('start'))
    .description("run a host's member in the background, as its service would at boot")
    .argument('<host>')
    .action(
      act(async (context, host: string, options: ChangeOptions) =>
        (await import('./commands/lab.ts')).labStart(context, host, { ...options, ...labDir() }),
      ),
    );
  dryRun(lab.command('fault'))
    .description('power-off, freeze, pull a cable, partition ...; without words it lists the faults')
    .argument('[words...]')
    .allowUnknownOption(true)
    .action(
      act(async (context, words: readonly string[], options: ChangeOptions) =>
        (await import('./commands/lab.ts')).labFault(context, words, { ...options, ...labDir() }),
      ),
    );
  lab
    .command('status')
    .description('the hosts, their power, cables, addresses and processes')
    .action(act(async (context) => (await import('./commands/lab.ts')).labState(context, labDir())));
  root
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(root.createArgument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action(
      act(async (context, shell: string) =>
        (await import('./commands/completion.ts')).completion(context, root, shell),
      ),
    );
  root
    .command('version')
    .description('print the version')
    .action(act(async (context) => (await import('./commands/version.ts')).version(context)));
}
