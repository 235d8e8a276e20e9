/**
 * What asks `run` to stop: SIGTERM and SIGINT (release, or keep with --keep), SIGHUP (always keep; a terminal that
 * closes must not take services down). A second release request while the first is being carried out means: hurry.
 */

import type { StopMode } from './lifeline.ts';

export interface StopRequests {
  /** Calls back for each request, until the returned function is called. */
  listen(onRequest: (mode: StopMode | 'usual') => void): () => void;
}

export const stopSignals: StopRequests = {
  listen(onRequest) {
    const usual = (): void => onRequest('usual');
    const keep = (): void => onRequest('keep');
    process.on('SIGTERM', usual);
    process.on('SIGINT', usual);
    process.on('SIGHUP', keep);
    return () => {
      process.off('SIGTERM', usual);
      process.off('SIGINT', usual);
      process.off('SIGHUP', keep);
    };
  },
};
