/**
 * Paths as people and scripts read and write them: UTF-8, and bytes that are not as \xNN. A name that has these four
 * characters in it is read as it stands first.
 */

const odd = /\\x([0-9a-f]{2})/g;

export function shownPath(path: Buffer): string {
  const text = path.toString('utf8');
  if (Buffer.from(text, 'utf8').equals(path)) return text;
  let shown = '';
  for (let at = 0; at < path.length;) {
    const length = utf8Length(path, at);
    if (length === 0) {
      shown += `\\x${(path[at] ?? 0).toString(16).padStart(2, '0')}`;
      at += 1;
    } else {
      shown += path.toString('utf8', at, at + length);
      at += length;
    }
  }
  return shown;
}

/** What a person may have meant, the likelier first. */
export function pathsMeant(text: string): readonly Buffer[] {
  const asIs = Buffer.from(text, 'utf8');
  if (text.search(odd) < 0) return [asIs];
  const parts: Buffer[] = [];
  let end = 0;
  for (const match of text.matchAll(odd)) {
    parts.push(Buffer.from(text.slice(end, match.index), 'utf8'), Buffer.from(match[1] ?? '', 'hex'));
    end = match.index + match[0].length;
  }
  return [asIs, Buffer.concat([...parts, Buffer.from(text.slice(end), 'utf8')])];
}

/** Bytes of the character that begins there; 0 when none does (RFC 3629). */
function utf8Length(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const slice = bytes.subarray(at, at + length);
  return Buffer.from(slice.toString('utf8'), 'utf8').equals(slice) ? length : 0;
}
