/**
 * What the agent needs of an operating system. Small, and free of any one system's words, so that each system
 * implements the same ports. Every call has a deadline of its own and is idempotent.
 */

/** An address with its prefix length, such as 10.77.0.100/24 or fd77::100/64. */
export type Cidr = string;

export type Outcome = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly says: string };

export interface Platform {
  readonly clock: Clock;
  readonly addresses: Addresses;
  readonly neighbours: Neighbours;
  readonly names: Names;
  readonly units: Units;
  readonly commands: Commands;
  readonly echo: Echo;
  readonly watchdogs: Watchdogs;
  /** What this host lacks, each with the way to mend it. */
  missing(): Promise<readonly Lack[]>;
}

export interface Lack {
  readonly name: string;
  readonly says: string;
  readonly fix: string;
}

export interface Clock {
  /** Milliseconds since the host booted; monotonic, counts suspend. */
  bootMs(): number;
  /** Changes with every boot of the host. */
  bootId(): string;
}

export interface Addresses {
  /** The interface that has an address in the same network, or null. */
  interfaceFor(address: Cidr): Promise<string | null>;
  /** Sets the address, or extends it: the system itself removes it after `seconds`. */
  hold(address: Cidr, device: string, seconds: number): Promise<Outcome>;
  /** Sets an address of the host's own, without an end. */
  keep(address: Cidr, device: string): Promise<Outcome>;
  /** Removes the address wherever it is; done when it was not there. Reads back that it is gone. */
  drop(address: Cidr): Promise<Outcome>;
  has(address: Cidr): Promise<boolean>;
  /** Argument vectors that drop the address without this process: for the guard. */
  dropCommands(address: Cidr): readonly (readonly string[])[];
}

export type Sighting =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'somebody'; readonly linkAddress: string }
  | { readonly kind: 'unknown'; readonly says: string };

export interface Neighbours {
  /** Who answers for the address, asked for at most `waitMs` (RFC 5227 probe, RFC 4862 duplicate detection). */
  probe(address: Cidr, device: string, waitMs: number): Promise<Sighting>;
  /** Tells the network that the address is here now (gratuitous ARP, unsolicited neighbour advertisement). */
  announce(address: Cidr, device: string, times: number): Promise<Outcome>;
  /** The link-layer address of an interface of this host. */
  linkAddress(device: string): Promise<string | null>;
}

export interface Names {
  /** An extra name for the addresses on this host (hosts file). */
  add(name: string, addresses: readonly Cidr[]): Promise<Outcome>;
  remove(name: string): Promise<Outcome>;
  hostname(): string;
  setHostname(name: string): Promise<Outcome>;
  /** Points the name at the addresses (RFC 2136, signed when there is a key). */
  updateDns(update: DnsUpdate): Promise<Outcome>;
}

export interface DnsUpdate {
  readonly server: string;
  readonly zone: string;
  readonly name: string;
  readonly addresses: readonly Cidr[];
  readonly ttlSeconds: number;
  readonly keyFile: string | null;
  readonly timeoutMs: number;
}

export type UnitState = 'running' | 'stopped' | 'failed' | 'unknown';

/** Services that the system's own service manager runs. */
export interface Units {
  start(unit: string, timeoutMs: number): Promise<Outcome>;
  stop(unit: string, timeoutMs: number): Promise<Outcome>;
  state(unit: string, timeoutMs: number): Promise<UnitState>;
  stopCommands(unit: string): readonly (readonly string[])[];
}

export interface CommandResult {
  readonly kind: 'exited' | 'timed-out' | 'not-started';
  readonly status: number | null;
  readonly signal: string | null;
  /** The end of what it printed, at most 4 KiB. */
  readonly output: string;
  readonly ms: number;
}

export interface Commands {
  /** Runs one argument vector. At the deadline it is killed with all its children. */
  run(
    argv: readonly string[],
    timeoutMs: number,
    env?: Readonly<Record<string, string>>,
  ): Promise<CommandResult>;
}

export type WatchdogState =
  /** Null: how long it counts can't be told. */
  | { readonly kind: 'usable'; readonly timeoutMs: number | null }
  | { readonly kind: 'unusable'; readonly says: string };

export interface Watchdogs {
  /** Looks at the device without opening it: that would start its countdown. */
  look(device: string): WatchdogState;
}

export interface Echo {
  /** ICMP echo: whether the address answers within the time. */
  ping(address: string, timeoutMs: number): Promise<boolean>;
}
