/**
 * What two groups must not share. Two groups with one address would each hold it rightly, on two servers, at the
 * same time: the rules of one group cannot prevent that, so the file is refused.
 */

import type { Place } from './place.ts';
import { within, wrong } from './place.ts';
import { quote } from './quantity.ts';
import type { GroupConfig } from './types.ts';

/** A group that was read, and where it stands in the file. */
export interface ReadGroup {
  readonly config: GroupConfig;
  readonly place: Place;
}

export function reportConflicts(groups: readonly ReadGroup[]): void {
  const takers = new Map<string, string>();
  for (const { config, place } of groups) {
    for (const claim of claimsOf(config, place)) {
      // One error for each thing in the file, however many servers it concerns.
      const taken = claim.things.find((thing) => takers.has(thing));
      for (const thing of claim.things) if (!takers.has(thing)) takers.set(thing, config.name);
      if (taken === undefined) continue;
      const taker = takers.get(taken);
      const whose = taker === config.name ? 'the same group' : `groups.${taker ?? ''}`;
      wrong(claim.place, `${taken} is already used by ${whose}; ${claim.advice}`);
    }
  }
}

/** Things that one place of the file claims for its group, each as text that is equal for equal things. */
interface Claim {
  readonly place: Place;
  readonly things: readonly string[];
  readonly advice: string;
}

function claimsOf(config: GroupConfig, place: Place): readonly Claim[] {
  const identity = within(place, 'identity', null);
  return [
    ...hostnameClaims(config, identity),
    ...addressClaims(config, identity),
    ...unitClaims(config, place),
    ...mountClaims(config, place),
  ];
}

function hostnameClaims({ identity }: GroupConfig, place: Place): readonly Claim[] {
  if (identity.hostname === null) return [];
  return [
    {
      place: within(place, 'hostname', null),
      things: [`the host name ${quote(identity.hostname.toLowerCase())}`],
      advice: 'give each group its own',
    },
  ];
}

function addressClaims({ identity, servers }: GroupConfig, place: Place): readonly Claim[] {
  switch (identity.mode) {
    case 'add':
      return identity.addresses.map((address) => ({
        place: within(place, 'addresses', null),
        things: [`the address ${quote(address.slice(0, address.indexOf('/')))}`],
        advice: 'give each group its own',
      }));
    case 'replace':
      // The owner holds the first server's address and the other one the second's, so both belong to the group.
      return [
        {
          place,
          things: servers.map((server) => `the own address of ${server}`),
          advice: 'a server can be in one group of mode replace only',
        },
      ];
  }
}

/** A systemd unit exists once on a server, and two groups that start and stop it would fight. */
function unitClaims({ resources, servers }: GroupConfig, place: Place): readonly Claim[] {
  return resources.flatMap(({ runs }) =>
    runs.kind === 'systemd'
      ? [
          {
            place: within(place, 'resources', null),
            things: servers.map((server) => `the unit ${quote(runs.unit)} on ${server}`),
            advice: 'let one group run it',
          },
        ]
      : [],
  );
}

/** Nothing is mounted over what another resource mounted. */
function mountClaims({ resources, servers }: GroupConfig, place: Place): readonly Claim[] {
  return resources.flatMap(({ runs }) =>
    runs.kind === 'mount'
      ? [
          {
            place: within(place, 'resources', null),
            things: servers.map((server) => `the folder ${quote(runs.at)} on ${server}`),
            advice: 'mount it elsewhere',
          },
        ]
      : [],
  );
}
