import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Tree } from '../src/os/tree.ts';

const ours = '.holdfast-';

/** What an entry is, but for its contents; hard links by the names that they share. */
interface Known {
  readonly facts: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly path: Buffer;
  readonly link: bigint | null;
}

/**
 * Compares everything that a mirror carries: names byte for byte, kinds, modes, owners, times to the nanosecond (of folders
 * and of the root, too), sizes, contents, links, devices, extended attributes, and which names are one file. Sockets and
 * our own folders are left out. Answers one line for each difference, nothing when the two are equal.
 */
export function compareTrees(a: string, b: string, limit = 50): string[] {
  const left = read(a);
  const right = read(b);
  const says: string[] = [];
  for (const [name, one] of left.entries) {
    const other = right.entries.get(name);
    if (other === undefined) says.push(`${shown(name)}: only in ${a}`);
    else if (one.facts !== other.facts)
      says.push(`${shown(name)}: ${one.facts}\n${' '.repeat(shown(name).length)}  ${other.facts}`);
    else if (one.kind === 'file' && !readFileSync(one.path).equals(readFileSync(other.path))) {
      says.push(`${shown(name)}: other contents`);
    }
  }
  for (const name of right.entries.keys())
    if (!left.entries.has(name)) says.push(`${shown(name)}: only in ${b}`);
  const [links, otherLinks] = [left.links(), right.links()];
  for (const group of links) if (!otherLinks.has(group)) says.push(`one file only in ${a}: ${group}`);
  for (const group of otherLinks) if (!links.has(group)) says.push(`one file only in ${b}: ${group}`);
  return says.slice(0, limit);
}

interface Read {
  readonly entries: ReadonlyMap<string, Known>;
  links(): Set<string>;
}

function read(root: string): Read {
  const entries = new Map<string, Known>();
  const tree = Tree.open(root);
  try {
    look(tree, Buffer.from(root), Buffer.alloc(0), entries);
  } finally {
    tree.close();
  }
  return {
    entries,
    links() {
      const groups = new Map<bigint, string[]>();
      for (const [name, { link }] of entries) {
        if (link !== null) groups.set(link, [...(groups.get(link) ?? []), name]);
      }
      return new Set(
        [...groups.values()].filter((g) => g.length > 1).map((g) => g.sort().map(shown).join(' = ')),
      );
    },
  };
}

function look(tree: Tree, root: Buffer, path: Buffer, into: Map<string, Known>): void {
  const full = path.length === 0 ? root : Buffer.concat([root, Buffer.from('/'), path]);
  const stat = lstatSync(full, { bigint: true });
  if (stat.isSocket()) return;
  const kind = stat.isFile()
    ? 'file'
    : stat.isDirectory()
      ? 'folder'
      : stat.isSymbolicLink()
        ? 'link'
        : 'other';
  const extended = tree.extended(path).map(([name, value]) => `${name.toString()}=${value.toString('hex')}`);
  const facts = [
    `${kind} mode ${(stat.mode & 0o177777n).toString(8)} owner ${String(stat.uid)}:${String(stat.gid)}`,
    `mtime ${String(stat.mtimeNs)}`,
    kind === 'file' ? `size ${String(stat.size)}` : '',
    kind === 'link' ? `to ${readlinkSync(full, { encoding: 'buffer' }).toString('latin1')}` : '',
    kind === 'other' ? `device ${String(stat.rdev)}` : '',
    extended.length > 0 ? `extended ${extended.sort().join(' ')}` : '',
  ];
  const link = kind !== 'folder' && stat.nlink > 1n ? stat.ino : null;
  into.set(path.toString('latin1'), {
    facts: facts.filter((f) => f !== '').join(', '),
    kind,
    path: full,
    link,
  });
  if (kind !== 'folder') return;
  for (const name of readdirSync(full, { encoding: 'buffer' })) {
    if (name.toString('latin1').startsWith(ours)) continue;
    look(tree, root, path.length === 0 ? name : Buffer.concat([path, Buffer.from('/'), name]), into);
  }
}

function shown(name: string): string {
  return name === '' ? '(the root)' : JSON.stringify(name);
}
