/** What is counted, for metrics and health. Plain numbers: the metrics library is loaded only when somebody asks. */

import { RejectionCounts, type DatagramRejection } from '@holdfast/wire/datagram';

export type Rejection =
  | DatagramRejection
  | 'from-ourselves'
  | 'not-a-member'
  | 'no-such-path'
  | 'repeated'
  | 'too-old'
  | 'old-incarnation'
  | 'too-many-senders'
  | 'not-understood';

export class Tallies {
  readonly rejected = new RejectionCounts<Rejection>();
  /** Datagrams that could not be sent, by the system's name of the reason. */
  readonly unsent = new RejectionCounts<string>();
  heard = 0;
  sent = 0;
  renewalsCommitted = 0;
  renewalsFailed = 0;
  lastRenewalMs = 0;
  extensionsFailed = 0;
}
