/**
 * Text from elsewhere, such as the name of a file, for a terminal: what would end its line or move its cursor is written as
 * \xNN, byte by byte, as bytes outside of UTF-8 are. Commands read that back.
 */
export const plainText = (text: string): string =>
  text.replace(/\p{Cc}/gu, (control) =>
    [...Buffer.from(control)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  );
