/** The tree of `holdfast mirror`: names, arguments, options, help. What a command needs is loaded when it runs. */
import { Command, Option } from 'commander';
import type { Act } from './act.ts';
import type { DivergenceOptions, DivergenceAction } from './commands/divergence.ts';
import type { MirrorOptions } from './commands/mirror.ts';
import type { MirrorOpenOptions } from './commands/mirror-open.ts';

const actions: readonly DivergenceAction[] = ['list', 'show', 'restore', 'discard'];

const waitHelp = 'how long to wait for its end (default: until it ends)';

export function addMirrorCommands(root: Command, act: Act, dryRun: (command: Command) => Command): void {
  root.commandsGroup('Mirrors:');
  const mirror = root
    .command('mirror')
    .description('pause, resume, resync, verify or open a mirror; what diverged');
  const add = (name: string, says: string): Command =>
    dryRun(
      mirror
        .command(name)
        .description(says)
        .argument('<mirror>', 'GROUP/NAME, or the name of a mirror without a failover')
        .option('--target <server>', 'only this target (default: every one)'),
    );
  const load = () => import('./commands/mirror.ts');
  add('pause', 'send nothing for now; what changes is remembered')
    .option('--reason <text>', 'why, for the others')
    .action(
      act(async (context, name: string, options: MirrorOptions) =>
        (await load()).pauseMirror(context, name, true, options),
      ),
    );
  add('resume', 'go on after a pause, with what changed meanwhile').action(
    act(async (context, name: string, options: MirrorOptions) =>
      (await load()).pauseMirror(context, name, false, options),
    ),
  );
  add('resync', 'compare everything and send what differs; of a diverged --target: overwrite its own writes')
    .option('--wait <duration>', waitHelp)
    .action(
      act(async (context, name: string, options: MirrorOptions) =>
        (await load()).resyncMirror(context, name, options),
      ),
    );
  add('verify', 'compare the contents; exit status 1 when something differs')
    .option('--repair', 'mend what differs')
    .option('--wait <duration>', waitHelp)
    .action(
      act(async (context, name: string, options: MirrorOptions) =>
        (await load()).verifyMirror(context, name, options),
      ),
    );
  addOpen(add, act);
  addDivergence(mirror, act, dryRun);
}

function addOpen(add: (name: string, says: string) => Command, act: Act): void {
  const load = () => import('./commands/mirror-open.ts');
  add('open', 'export the copy of a volume at a paused target, for other uses')
    .option('--writable', 'under an overlay that is thrown away (default: read-only)')
    .option('--wait <duration>', waitHelp)
    .action(
      act(async (context, name: string, options: MirrorOpenOptions) =>
        (await load()).openMirror(context, name, options),
      ),
    );
  add('close', 'end what open began')
    .option('--wait <duration>', waitHelp)
    .action(
      act(async (context, name: string, options: MirrorOpenOptions) =>
        (await load()).closeMirror(context, name, options),
      ),
    );
}

function addDivergence(mirror: Command, act: Act, dryRun: (command: Command) => Command): void {
  dryRun(
    mirror
      .command('divergence')
      .description('what a former owner wrote and never replicated; it is kept until it is discarded')
      .argument('<mirror>')
      .addArgument(mirror.createArgument('[action]', 'what to do (default list)').choices(actions))
      .argument('[path]', 'as the list shows it')
      .option('--to <folder>', 'restore: an existing folder of the member that keeps it')
      .option('--target <server>', 'only what this member keeps')
      .addOption(new Option('--all', 'discard: everything'))
      .option('--wait <duration>', waitHelp),
  ).action(
    act(
      async (
        context,
        name: string,
        action: DivergenceAction | undefined,
        path: string | undefined,
        options: DivergenceOptions,
      ) =>
        (await import('./commands/divergence.ts')).divergence(context, name, action ?? 'list', path, options),
    ),
  );
}
