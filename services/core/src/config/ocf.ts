/**
 * A resource of the Open Cluster Framework: an agent as Pacemaker runs it, with its parameters.
 * Source: OCF Resource Agent API 1.1 (ClusterLabs/OCF-spec, ra/1.1/resource-agent-api.md).
 */

import { limits } from './limits.ts';
import type { Place } from './place.ts';
import { readFields, readMapping, readWith, wrong } from './place.ts';
import { describe, invalid, ok, quote, type Parsed } from './quantity.ts';
import type { ResourceKind } from './types.ts';

const example = '{ agent: "heartbeat:Filesystem", parameters: { device: /dev/vg0/d3 } }';

export function readOcf(place: Place): ResourceKind | null {
  const fields = readFields(place, ['agent', 'parameters'], example);
  if (fields === null) return null;
  const agent = readWith(fields.at('agent'), parseAgent, 'an agent such as "heartbeat:Filesystem"');
  const parameters = readParameters(fields.at('parameters'));
  return agent === null ? null : { kind: 'ocf', ...agent, parameters };
}

interface Agent {
  readonly provider: string;
  readonly type: string;
}

/** Both become part of a path. */
const agentForm = /^(?:ocf:)?([A-Za-z0-9][A-Za-z0-9_.-]{0,62}):([A-Za-z0-9][A-Za-z0-9_.-]{0,62})$/;

function parseAgent(raw: unknown): Parsed<Agent> {
  const [, provider, type] = (typeof raw === 'string' ? agentForm.exec(raw) : null) ?? [];
  if (provider !== undefined && type !== undefined) return ok({ provider, type });
  return invalid(`${quote(raw)} is not an agent; write PROVIDER:TYPE, such as heartbeat:Filesystem`);
}

function readParameters(place: Place): Readonly<Record<string, string>> {
  if (place.raw === undefined) return {};
  const read: [string, string][] = [];
  for (const [name, child] of readMapping(place, '{ device: /dev/vg0/d3 }', limits.ocfParameters) ?? []) {
    // It becomes the name of an environment variable.
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(name))
      wrong(child, `${quote(name)} is not a parameter; write letters, digits and _`);
    const value = readWith(child, parseValue, 'a text');
    if (value !== null) read.push([name, value]);
  }
  return Object.fromEntries(read);
}

/** YAML's 1.10 is 1.1, so of numbers only whole ones are what was written. */
function parseValue(raw: unknown): Parsed<string> {
  if (typeof raw === 'boolean' || (typeof raw === 'number' && Number.isSafeInteger(raw)))
    return ok(String(raw));
  if (typeof raw !== 'string') return invalid(`${describe(raw)} is not a text; put it in quotes`);
  if (raw.length > limits.argumentLength)
    return invalid(`is ${raw.length} characters long; at most ${limits.argumentLength} are allowed`);
  return raw.includes('\0') ? invalid('has a character with code 0; no program can receive it') : ok(raw);
}
