/** The part of the `ping` package (0.4.4) that we use; it brings no types of its own. */
declare module 'ping' {
  interface Config {
    readonly numeric: boolean;
    /** Seconds to wait for an answer; fractions are passed on to the program. */
    readonly timeout: number;
    readonly min_reply: number;
    readonly v6: boolean;
  }
  const ping: {
    readonly promise: {
      /** Rejects when the program can't be started. */
      probe(address: string, config: Config): Promise<{ readonly alive: boolean }>;
    };
  };
  export default ping;
}
