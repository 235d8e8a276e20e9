/** One record; number 0 for none at all. */
export interface RecordMark {
  readonly number: number;
  /** Wall clock, which all hosts of a lab share. */
  readonly atMs: number;
}
