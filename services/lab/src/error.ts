// The one error of the lab: what failed, what the system says about it, and what a person can do.

export interface LabTrouble {
  /** What could not be done, and where: "cannot power off host a". */
  readonly what: string;
  /** What the system (or the lab) said. */
  readonly says: string;
  /** What to do about it. */
  readonly fix: string;
}

export class LabError extends Error {
  readonly what: string;
  readonly says: string;
  readonly fix: string;

  constructor(trouble: LabTrouble) {
    super(`${trouble.what}: ${trouble.says}. ${trouble.fix}`);
    this.name = 'LabError';
    this.what = trouble.what;
    this.says = trouble.says;
    this.fix = trouble.fix;
  }
}
