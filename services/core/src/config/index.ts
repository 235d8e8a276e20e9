/** The desired state: read from the file, compared, stored. */

export { parseConfig } from './parse.ts';
export type { ParseConfigResult } from './parse.ts';
export { diffConfig } from './diff.ts';
export { refuseReplacing, replacingGroups } from './replacing.ts';
export { refuseShrinking } from './shrinking.ts';
export { configFromJson, configToJson } from './json.ts';
export type { ConfigFromJsonResult, ConfigJson } from './json.ts';
export { formatDuration, formatRate, formatSize, parseDuration, parseRate, parseSize } from './quantity.ts';
export type { Parsed } from './quantity.ts';
export {
  canonicalAddress,
  formatCidr,
  inNetwork,
  parseAddress,
  parseCidr,
  unreachableMember,
} from './address.ts';
export type { Address, Cidr } from './address.ts';
export { formatWindow, isInWindow, parseWindow } from './window.ts';
export { parseHostname, parseInterface, parseMemberName, parseName } from './text.ts';
export { nearest } from './suggest.ts';
