/**
 * What waits to be sent, as pieces of bytes. Beats and reports of what was heard have a place of their own and leave
 * between two frames, never within one.
 *
 * O1. A frame that was begun is finished before anything else leaves.
 */

export class Outbox {
  readonly #pieces: Uint8Array[] = [];
  /** Pieces before this one are gone; the array is shifted now and then, not each time. */
  #first = 0;
  /** True for a piece that ends a frame; or what is to be called when that piece has left. */
  readonly #ends: (boolean | (() => void))[] = [];
  #bytes = 0;
  #urgent: readonly Uint8Array[] | null = null;
  #report: Uint8Array | null = null;
  #between = true;

  /** Of frames; beat and report do not count. */
  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#bytes === 0 && !this.urgent;
  }

  /** A beat or a report waits; it is small, and leaves whatever the window says. */
  get urgent(): boolean {
    return this.#urgent !== null || this.#report !== null;
  }

  /** `done`: see take(). */
  add(frame: readonly Uint8Array[], done?: () => void): void {
    const last = frame.length - 1;
    frame.forEach((piece, i) => {
      this.#pieces.push(piece);
      this.#ends.push(i === last ? (done ?? true) : false);
      this.#bytes += piece.length;
    });
  }

  /** The beat that leaves at the next gap, in place of one that still waits: only the newest is worth something. */
  setUrgent(frame: readonly Uint8Array[]): void {
    this.#urgent = frame;
  }

  /** The newest report is the only one that counts, too. */
  setReport(frame: Uint8Array): void {
    this.#report = frame;
  }

  /**
   * Takes out pieces of up to `room` bytes and appends them to `to`; the answer is how many bytes they are. `done` gets what
   * is to be called when the system has these.
   */
  take(room: number, to: Uint8Array[], done: (() => void)[]): number {
    let taken = 0;
    while (taken < room) {
      if (this.#between && this.urgent) {
        taken += this.#takeUrgent(to);
        continue;
      }
      const piece = this.#pieces[this.#first];
      if (piece === undefined) break;
      taken += this.#takeOf(piece, room - taken, to, done);
    }
    return taken;
  }

  clear(): void {
    this.#pieces.length = 0;
    this.#ends.length = 0;
    this.#first = 0;
    this.#bytes = 0;
    this.#urgent = null;
    this.#report = null;
    this.#between = true;
  }

  /** They are small and never cut. */
  #takeUrgent(to: Uint8Array[]): number {
    const pieces = [...(this.#report === null ? [] : [this.#report]), ...(this.#urgent ?? [])];
    this.#report = null;
    this.#urgent = null;
    to.push(...pieces);
    return pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  /** Within a frame nothing overtakes. */
  get between(): boolean {
    return this.#between;
  }

  #takeOf(piece: Uint8Array, room: number, to: Uint8Array[], done: (() => void)[]): number {
    if (piece.length > room) {
      to.push(piece.subarray(0, room));
      this.#pieces[this.#first] = piece.subarray(room);
      this.#between = false;
      this.#bytes -= room;
      return room;
    }
    if (piece.length > 0) to.push(piece);
    const end = this.#ends[this.#first] ?? true;
    this.#between = end !== false;
    if (typeof end === 'function') done.push(end);
    this.#first += 1;
    this.#bytes -= piece.length;
    this.#shift();
    return piece.length;
  }

  #shift(): void {
    if (this.#first < 1_024 && this.#first < this.#pieces.length) return;
    this.#pieces.splice(0, this.#first);
    this.#ends.splice(0, this.#first);
    this.#first = 0;
  }
}
