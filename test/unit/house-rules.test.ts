/** Rules of this repository that no compiler knows. CONTRIBUTING.md gives the reasons. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { version } from '../../services/wire/src/version.ts';
import { program } from '../../services/cli/src/program.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const generated = new Set(['.git', 'node_modules', 'dist', 'gen', 'package-lock.json']);
const codeLinesMax = 400;

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (generated.has(entry.name) || entry.name.endsWith('.tsbuildinfo')) return [];
    if (entry.isDirectory()) return filesIn(path);
    return entry.isFile() ? [path] : [];
  });
}

const files = filesIn(root);
const text = (file: string): string => readFileSync(file, 'utf8');
const named = (file: string): string => relative(root, file);
const sources = files.filter((file) => /\.(ts|js|mjs|cjs)$/.test(file));
const documents = files.filter((file) => file.endsWith('.md'));

/** Lines that are neither blank nor comment, as the linter counts them. */
function codeLines(source: string): number {
  const lines = source.replace(/\/\*[\s\S]*?\*\//g, '').split('\n');
  return lines.filter((line) => line.trim() !== '' && !line.trim().startsWith('//')).length;
}

describe('the house rules', () => {
  it('finds the files at all', () => {
    expect(sources.length).toBeGreaterThan(100);
    expect(documents.length).toBeGreaterThan(10);
  });

  it('no file names a path of the machine it was written on', () => {
    const own = /(?<![\w.~-])\/(work|root|home)\/[\w.-]/;
    expect(files.filter((file) => own.test(text(file))).map(named)).toEqual([]);
  });

  it('no file refers to a document that is not here', () => {
    const elsewhere = /\b(design|contract|product|faults|style)\.md\b|\bthe design\b|\(design[,:]/;
    const told = files.filter((file) => /\.(ts|js|mjs|cjs|md|proto|yaml|sh)$/.test(file));
    const others = told.filter((file) => file !== fileURLToPath(import.meta.url));
    expect(others.filter((file) => elsewhere.test(text(file))).map(named)).toEqual([]);
  });

  it('no file is named after a place for everything', () => {
    const vague = /(^|[-.])(util|utils|common|manager|helper|helpers|misc)([-.]|$)/;
    expect(sources.filter((file) => vague.test(basename(file))).map(named)).toEqual([]);
  });

  it(`no source file has more than ${codeLinesMax} lines of code`, () => {
    const long = sources.map((file) => `${named(file)}: ${codeLines(text(file))}`);
    expect(long.filter((line) => Number(line.split(': ')[1]) > codeLinesMax)).toEqual([]);
  });

  it('wall time is read only where it is shown, signed, or given to a library', () => {
    // Deadlines and decisions use boot time: a wall clock that jumps may change none of them.
    const allowed = new Map([
      ['services/agent/src/agent.ts', 'the time of an event in the history'],
      ['services/agent/src/heartbeats.ts', 'told to others, who show how far theirs is off'],
      ['services/agent/src/preflight.ts', 'the end of a certificate'],
      ['services/guard/src/journal.ts', 'beside boot time, for people'],
      ['services/quorum/src/admin-calls.ts', 'shown; the life of a token'],
      ['services/quorum/src/check.ts', 'shown'],
      ['services/quorum/src/process.ts', 'the life of a token'],
      ['services/quorum/src/service.ts', 'the time of an event; failback windows'],
      ['services/quorum/src/etcd/call.ts', 'deadlines as the gRPC library wants them'],
      ['services/quorum/src/etcd/endpoints.ts', 'deadlines as the gRPC library wants them'],
    ]);
    const wall = /\bDate\.now\b|\bnew Date\(\)/;
    const deciding = /^services\/(core|quorum|agent|guard)\/src\//;
    const found = sources
      .map(named)
      .filter((name) => deciding.test(name) && wall.test(text(join(root, name))));
    expect(found.sort()).toEqual([...allowed.keys()].sort());
  });

  it('a label in a comment is explained in the header of its file, or comes with the file that explains it', () => {
    const labelsOf = (words: string): string[] =>
      [...words.matchAll(/(?<![\w/-])([A-Z]\d{1,2})(?![\w-])/g)].map(([, label = '']) => label);
    // Those of docs/guarantees.md, and an engine for JavaScript.
    const known = (label: string): boolean => /^I\d/.test(label) || label === 'V8';
    const lost = sources
      .filter((file) => /^services\/\w+\/src\/.*\.ts$/.test(named(file)))
      .flatMap((file) => {
        const explained = new Set(labelsOf(text(file).split('*/')[0] ?? ''));
        return text(file)
          .split('\n')
          .map((line) => /\/\/.*|^\s*\/?\*.*/.exec(line)?.[0] ?? '')
          .flatMap((comment, at) => {
            if (/[\w-]+\.(ts|md)\b|docs\/adr/.test(comment)) return [];
            const unexplained = labelsOf(comment).filter((label) => !known(label) && !explained.has(label));
            return unexplained.map((label) => `${named(file)}:${at + 1}: ${label}`);
          });
      });
    expect(lost).toEqual([]);
  });

  it('nothing is left to do later, and no check is switched off', () => {
    const excuse = new RegExp(
      ['TO' + 'DO', 'FIX' + 'ME', 'eslint-' + 'disable', '@ts-' + '(ignore|expect-error|nocheck)'].join('|'),
    );
    expect(sources.filter((file) => excuse.test(text(file))).map(named)).toEqual([]);
  });

  it('all packages have the version that the program tells', () => {
    const described = files.filter((file) => basename(file) === 'package.json');
    // One without a name only says what kind of JavaScript is beside it.
    const packages = described.map((file) => JSON.parse(text(file)) as object).filter((it) => 'name' in it);
    const versions = packages.map((it) => String(Reflect.get(it, 'version')));
    expect(new Set(versions)).toEqual(new Set([version]));
  });

  it('every relative link of the documents leads somewhere', () => {
    const broken = documents.flatMap((file) =>
      [...text(file).matchAll(/\]\(([^)\s]+)\)/g)]
        .map((match) => match[1] ?? '')
        .filter((target) => !/^[a-z]+:|^#/.test(target))
        .filter((target) => !existsSync(join(dirname(file), target.replace(/#.*$/, ''))))
        .map((target) => `${named(file)}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('every decision is in the index, under its number and title', () => {
    const index = text(join(root, 'docs/adr/README.md'));
    const pages = documents.filter((file) => /^docs\/adr\/\d{4}-/.test(named(file)));
    const lines = pages.map((file) => {
      const [number = '', title = ''] =
        text(file)
          .split('\n', 1)[0]
          ?.replace('# ', '')
          .split(/\. (.*)/) ?? [];
      return `- [${number}](${basename(file)}). ${title}`;
    });
    expect(lines.filter((line) => !index.includes(line))).toEqual([]);
  });

  it('every heading that a link names is there', () => {
    const anchorsOf = (file: string): Set<string> =>
      new Set(
        [...text(file).matchAll(/^#+ (.*)$/gm)].map((match) =>
          (match[1] ?? '')
            .toLowerCase()
            .replace(/[^\w\s-]/g, '')
            .trim()
            .replace(/\s/g, '-'),
        ),
      );
    const broken = documents.flatMap((file) =>
      [...text(file).matchAll(/\]\(([^)\s:]*)#([^)\s]+)\)/g)].flatMap((match) => {
        const target = (match[1] ?? '') === '' ? file : join(dirname(file), match[1] ?? '');
        const anchor = match[2] ?? '';
        return existsSync(target) && anchorsOf(target).has(anchor) ? [] : [`${named(file)}: ${match[0]}`];
      }),
    );
    expect(broken).toEqual([]);
  });

  it("the README's table of commands has exactly the commands of the program", () => {
    const table = text(join(root, 'README.md')).split('## Commands')[1]?.split('\n## ')[0] ?? '';
    const cells = table.split('\n').flatMap((line) => /^\| (`.*?) \| /.exec(line)?.[1] ?? []);
    const inReadme = cells
      .flatMap((cell) => [...cell.matchAll(/holdfast ([a-z]+)/g)].map((match) => match[1] ?? ''))
      .sort();
    const { root: command } = program({
      terminal: {
        out: () => undefined,
        err: () => undefined,
        columns: 80,
        colours: false,
        isTerminal: false,
      },
      env: {},
    } as unknown as Parameters<typeof program>[0]);
    const inProgram = command.commands.map((each) => each.name()).sort();
    expect(inReadme).toEqual(inProgram);
  });
});
