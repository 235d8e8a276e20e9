/**
 * What a program said, as the end of a sentence: reasons are one line each, in the history, in tables and in what scripts read. Of
 * many words the last, and nothing that would move the cursor of who reads them.
 */

const charactersMax = 400;

export const said = (output: string): string =>
  output
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(-charactersMax);
