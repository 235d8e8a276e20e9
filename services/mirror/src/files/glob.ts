/**
 * Patterns of file names, over bytes: a name need not be UTF-8. A pattern is compared with a path component by component.
 *
 *   *      any bytes of one component          [a-z]  one byte of a set; [!a-z] one outside of it
 *   ?      one byte                            {a,b}  either; may hold slashes
 *   **     as a whole component: any number of components, also none
 *   \x     the byte x itself
 *
 * G1. A pattern that names a folder names everything beneath it.
 * G2. Matching takes time of the order of the lengths of path and pattern multiplied, never more (no backtracking but to
 *     the last `*`).
 */

/** Of one pattern after {a,b} was spelled out. */
const alternativesMax = 256;

type Token =
  | { readonly kind: 'byte'; readonly byte: number }
  | { readonly kind: 'any' }
  | { readonly kind: 'star' }
  /** 256 flags. */
  | { readonly kind: 'set'; readonly has: Uint8Array };

type Component = 'deep' | readonly Token[];

/** How far a path went along one pattern. */
interface Progress {
  readonly pattern: readonly Component[];
  readonly at: number;
}

/** A path, or one above it, matched; else whether something beneath it could. */
export type GlobAnswer = 'matches' | 'may-hold-matches' | 'no';

/** A list of patterns, of which one has to match. Throws for a pattern that can't be read; the message says why. */
export class Globs {
  readonly empty: boolean;
  readonly #start: readonly Progress[];

  constructor(patterns: readonly string[]) {
    this.empty = patterns.length === 0;
    this.#start = patterns
      .flatMap((pattern) => spelledOut(pattern))
      .flatMap((pattern) => closed({ pattern: parsePattern(pattern), at: 0 }));
  }

  /** `path`: relative, without a slash at either end. */
  ask(path: Buffer): GlobAnswer {
    let progress = this.#start;
    if (progress.some(isWhole)) return 'matches';
    for (let from = 0; from < path.length && progress.length > 0;) {
      const slash = path.indexOf(0x2f, from);
      const end = slash === -1 ? path.length : slash;
      progress = stepped(progress, path, from, end);
      if (progress.some(isWhole)) return 'matches'; // G1.
      from = end + 1;
    }
    return progress.length > 0 ? 'may-hold-matches' : 'no';
  }
}

function isWhole(progress: Progress): boolean {
  return progress.at === progress.pattern.length;
}

function stepped(
  progress: readonly Progress[],
  path: Buffer,
  from: number,
  end: number,
): readonly Progress[] {
  const next: Progress[] = [];
  for (const one of progress) {
    const component = one.pattern[one.at];
    if (component === undefined) continue;
    if (component === 'deep') add(next, one);
    else if (matches(component, path, from, end)) add(next, { pattern: one.pattern, at: one.at + 1 });
  }
  return next;
}

/** `**` may stand for nothing. */
function closed(one: Progress): readonly Progress[] {
  const all = [one];
  for (let at = one.at; one.pattern[at] === 'deep'; at += 1) all.push({ pattern: one.pattern, at: at + 1 });
  return all;
}

function add(list: Progress[], one: Progress): void {
  for (const each of closed(one)) {
    if (!list.some((p) => p.pattern === each.pattern && p.at === each.at)) list.push(each);
  }
}

/** G2: the usual walk with one place to go back to. */
function matches(tokens: readonly Token[], path: Buffer, from: number, end: number): boolean {
  let token = 0;
  let at = from;
  let star = -1;
  let starAt = 0;
  while (at < end) {
    const now = tokens[token];
    if (now?.kind === 'star') {
      star = token;
      starAt = at;
      token += 1;
    } else if (now !== undefined && takes(now, path[at] ?? 0)) {
      token += 1;
      at += 1;
    } else if (star >= 0) {
      starAt += 1;
      at = starAt;
      token = star + 1;
    } else {
      return false;
    }
  }
  while (tokens[token]?.kind === 'star') token += 1;
  return token === tokens.length;
}

function takes(token: Token, byte: number): boolean {
  switch (token.kind) {
    case 'byte':
      return token.byte === byte;
    case 'set':
      return token.has[byte] === 1;
    case 'any':
      return true;
    case 'star':
      return false;
  }
}

function parsePattern(pattern: Buffer): readonly Component[] {
  const components: Component[] = [];
  for (let from = 0; from <= pattern.length;) {
    const slash = pattern.indexOf(0x2f, from);
    const end = slash === -1 ? pattern.length : slash;
    const text = pattern.subarray(from, end);
    if (text.length > 0) components.push(text.equals(deep) ? 'deep' : parseComponent(text));
    from = end + 1;
  }
  if (components.length === 0) throw new Error('a pattern is empty');
  return components;
}

const deep = Buffer.from('**');

function parseComponent(text: Buffer): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at] ?? 0;
    if (byte === 0x2a) {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' });
    } else if (byte === 0x3f) {
      tokens.push({ kind: 'any' });
    } else if (byte === 0x5b) {
      const { has, end } = parseSet(text, at);
      tokens.push({ kind: 'set', has });
      at = end;
    } else {
      const escaped = byte === 0x5c && at + 1 < text.length;
      if (escaped) at += 1;
      tokens.push({ kind: 'byte', byte: text[at] ?? 0 });
    }
  }
  return tokens;
}

/** `open`: of the bracket. A bracket first in the set, and a minus first or last, mean themselves. */
function parseSet(text: Buffer, open: number): { has: Uint8Array; end: number } {
  const has = new Uint8Array(256);
  const first = text[open + 1];
  const negated = first === 0x21 || first === 0x5e;
  const from = open + (negated ? 2 : 1);
  for (let at = from; at < text.length; at += 1) {
    const byte = text[at] ?? 0;
    if (byte === 0x5d && at > from) {
      if (negated) for (let i = 0; i < 256; i += 1) has[i] = has[i] === 1 ? 0 : 1;
      return { has, end: at };
    }
    const last = text[at + 2];
    if (text[at + 1] === 0x2d && last !== undefined && last !== 0x5d) {
      for (let i = byte; i <= last; i += 1) has[i] = 1;
      at += 2;
    } else {
      has[byte] = 1;
    }
  }
  throw new Error(`the pattern ${JSON.stringify(text.toString())} has a [ without its ]`);
}

/** Every choice of {a,b}, one pattern each. */
function spelledOut(pattern: string): readonly Buffer[] {
  const done: Buffer[] = [];
  const open: Buffer[] = [Buffer.from(pattern)];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    const choice = firstChoice(one);
    if (choice === null) done.push(one);
    else open.push(...choice);
    if (done.length + open.length > alternativesMax)
      throw new Error(
        `the pattern ${JSON.stringify(pattern)} has more than ${String(alternativesMax)} alternatives`,
      );
  }
  return done;
}

/** Null: there is none. A brace without its end, or without a comma, means itself. */
function firstChoice(pattern: Buffer): readonly Buffer[] | null {
  for (let at = 0; at < pattern.length; at += 1) {
    if (pattern[at] === 0x5c) at += 1;
    else if (pattern[at] === 0x7b) {
      const choice = choiceAt(pattern, at);
      if (choice !== null) return choice;
    }
  }
  return null;
}

function choiceAt(pattern: Buffer, open: number): readonly Buffer[] | null {
  const cuts = [open];
  let depth = 0;
  for (let at = open; at < pattern.length; at += 1) {
    const byte = pattern[at];
    if (byte === 0x5c) at += 1;
    else if (byte === 0x7b) depth += 1;
    else if (byte === 0x2c && depth === 1) cuts.push(at);
    else if (byte === 0x7d) {
      depth -= 1;
      if (depth > 0) continue;
      if (cuts.length === 1) return null;
      const before = pattern.subarray(0, open);
      const after = pattern.subarray(at + 1);
      return cuts.map((cut, i) =>
        Buffer.concat([before, pattern.subarray(cut + 1, cuts[i + 1] ?? at), after]),
      );
    }
  }
  return null;
}
