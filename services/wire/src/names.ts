/**
 * What members and clusters may be called. The names go into certificates (DNS and URI), etcd keys, file names and
 * command lines, so that they are the labels of RFC 1123 in lower case and nothing else.
 */
import { isIP } from 'node:net';

export type MemberRole = 'server' | 'witness' | 'operator' | 'viewer';

export const memberRoles: readonly MemberRole[] = ['server', 'witness', 'operator', 'viewer'];

export const namePattern = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
export const nameLengthMax = 63;

/** Who decided, where nobody asked: by this name decisions of the cluster itself are told from those of people. */
const ownName = 'holdfast';

/** True for a usable member or cluster name. */
export function isName(text: string): boolean {
  return text.length <= nameLengthMax && namePattern.test(text);
}

/** Why the text can't be a name of `what` ("member", "cluster"), or null when it can. */
export function nameProblem(what: string, text: string): string | null {
  if (text === '') return `the ${what} name is empty`;
  if (text.length > nameLengthMax)
    return `the ${what} name is longer than ${nameLengthMax} characters: ${text.slice(0, 20)}...`;
  if (what === 'member' && text === ownName)
    return `the member name ${ownName} is that of the cluster itself, for what it decides; choose another`;
  if (isName(text)) return null;
  return `the ${what} name ${JSON.stringify(text)} may have only a-z, 0-9 and inner hyphens`;
}

export function isMemberRole(text: string): text is MemberRole {
  return memberRoles.some((role) => role === text);
}

/** Servers and witnesses run a quorum service, issue certificates and hold the heartbeat key. */
export function isHost(role: MemberRole): boolean {
  return role === 'server' || role === 'witness';
}

/** True for a literal IPv4 or IPv6 address without a zone: members are never found through a resolver. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%');
}

/** "a server", "an operator". */
export function withArticle(noun: string): string {
  return `${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`;
}
