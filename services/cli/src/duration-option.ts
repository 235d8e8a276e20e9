/** `--wait 30s`, `--ttl 1h`: durations on the command line, as strict as in cluster.yaml. */
import { ok, wrong, type Fallible } from './trouble.ts';

/** Milliseconds, or `otherwise` when the option was not given. */
export async function durationOption(
  option: string,
  text: string | undefined,
  otherwise: number,
): Promise<Fallible<number>> {
  if (text === undefined) return ok(otherwise);
  const { parseDuration } = await import('@holdfast/core');
  const parsed = parseDuration(text);
  return parsed.kind === 'ok' ? ok(parsed.value) : wrong(`${option}: ${parsed.reason}`);
}
