/** Text of YAML as plain data, or what is wrong with it in words for whoever wrote it. */

import { LineCounter, parseDocument, visit, type Document } from 'yaml';

export type Read =
  { readonly kind: 'ok'; readonly value: unknown } | { readonly kind: 'invalid'; readonly says: string };

/** Each alias may stand for many, which stand for many more. */
const aliasesMax = 100;

/** `file` is how an error calls it. */
export function readYaml(text: string, file: string): Read {
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines });
  const wrong = (offset: number, says: string): Read => {
    const { line, col } = lines.linePos(offset);
    return { kind: 'invalid', says: `${file}: line ${line}, column ${col}: ${says}` };
  };
  const [broken] = document.errors;
  if (broken?.code === 'MULTIPLE_DOCS')
    return wrong(broken.pos[0], 'a second document begins; write one only, without ---');
  if (broken !== undefined) return wrong(broken.pos[0], broken.message);
  const alias = danglingAlias(document);
  if (alias !== null)
    return wrong(
      alias.offset,
      `*${alias.name} stands for nothing; write &${alias.name} at what it means, above`,
    );
  try {
    return { kind: 'ok', value: document.toJS({ maxAliasCount: aliasesMax }) };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return { kind: 'invalid', says: `${file}: its aliases stand for too much; write out what they mean` };
  }
}

/** The first that names no anchor above it. */
function danglingAlias(document: Document.Parsed): { readonly name: string; readonly offset: number } | null {
  let found: { readonly name: string; readonly offset: number } | null = null;
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return undefined;
      found = { name: alias.source, offset: alias.range?.[0] ?? 0 };
      return visit.BREAK;
    },
  });
  return found;
}
