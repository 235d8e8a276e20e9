/** The kinds of names and paths in the file, each with the rule of whoever will read it in the end. */

import { parseAddress, specialKind } from './address.ts';
import { limits } from './limits.ts';
import type { Parsed } from './quantity.ts';
import { describe, invalid, ok, quote } from './quantity.ts';

function text(raw: unknown, what: string): Parsed<string> {
  if (typeof raw === 'string') return ok(raw);
  if (typeof raw === 'number' || typeof raw === 'boolean') {
    return invalid(`${String(raw)} is a ${typeof raw}; put it in quotes if it is ${what}`);
  }
  return invalid(`${describe(raw)} is not ${what}; write a text`);
}

/** Name of a group or resource: it becomes part of store keys, file names and `GROUP/MIRROR`. */
export function parseName(raw: unknown): Parsed<string> {
  const name = text(raw, 'a name');
  if (name.kind === 'invalid') return name;
  if (/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name.value) && name.value.length <= limits.nameLength) return name;
  return invalid(
    `${quote(raw)} is not a name; write 1 to ${limits.nameLength} letters, digits, - or _, beginning with a letter or digit`,
  );
}

/** Name of a member; like the name of a group, and dots, as hosts are often known by a full name. */
export function parseMemberName(raw: unknown): Parsed<string> {
  const name = text(raw, 'the name of a server');
  if (name.kind === 'invalid') return name;
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name.value) && name.value.length <= limits.nameLength) return name;
  return invalid(
    `${quote(raw)} is not the name of a server; write 1 to ${limits.nameLength} letters, digits, -, _ or dots`,
  );
}

const labelLengthMax = 63;
const hostnameLengthMax = 253;

/** RFC 1123 section 2.1: labels of letters, digits and hyphens; a last label of digits would read as an address. */
export function parseHostname(raw: unknown): Parsed<string> {
  const name = text(raw, 'a host name');
  if (name.kind === 'invalid') return name;
  const refuse = (why: string): Parsed<string> => invalid(`${quote(raw)} is not a host name: ${why}`);
  const { value } = name;
  if (value === '' || value.length > hostnameLengthMax)
    return refuse(`write 1 to ${hostnameLengthMax} characters`);
  const labels = value.split('.');
  for (const label of labels) {
    if (label === '') return refuse('write something between and around the dots');
    if (label.length > labelLengthMax)
      return refuse(`each part between dots has at most ${labelLengthMax} characters`);
    if (!/^[A-Za-z0-9-]+$/.test(label)) return refuse('write letters, digits and - only (RFC 1123)');
    if (label.startsWith('-') || label.endsWith('-')) return refuse('a part must not begin or end with -');
  }
  if (/^\d+$/.test(labels.at(-1) ?? ''))
    return refuse('the last part must not be all digits, like an address');
  return name;
}

/** A DNS zone; a final dot is dropped. */
export function parseZone(raw: unknown): Parsed<string> {
  return parseHostname(
    typeof raw === 'string' && raw.length > 1 && raw.endsWith('.') ? raw.slice(0, -1) : raw,
  );
}

/** An address that can be talked to, without a prefix length, in canonical form. */
export function parseHostAddress(raw: unknown): Parsed<string> {
  const given = text(raw, 'an address');
  if (given.kind === 'invalid') return given;
  const slash = given.value.indexOf('/');
  const address = parseAddress(slash === -1 ? given.value : given.value.slice(0, slash));
  if (address.kind === 'invalid') return address;
  if (slash !== -1) return invalid(`${quote(raw)} has a prefix length; write ${address.value.text}`);
  const kind = specialKind(address.value);
  // A name server may well be on the loopback address of every server.
  if (kind !== null && !kind.includes('loopback'))
    return invalid(`${quote(raw)} is ${kind}; write the address of a host`);
  return ok(address.value.text);
}

const interfaceLengthMax = 15;

/** Linux `dev_valid_name`: fewer than IFNAMSIZ (16) bytes, no slash, colon or space, not `.` or `..`. */
export function parseInterface(raw: unknown): Parsed<string> {
  const name = text(raw, 'the name of an interface');
  if (name.kind === 'invalid') return name;
  const { value } = name;
  // Printable ASCII only: the kernel counts bytes, and anything else is a slip of the keyboard.
  if (
    /^[!-~]+$/.test(value) &&
    !/[/:]/.test(value) &&
    value.length <= interfaceLengthMax &&
    !/^\.\.?$/.test(value)
  ) {
    return name;
  }
  return invalid(
    `${quote(raw)} is not the name of an interface; write 1 to ${interfaceLengthMax} characters without space, / or :, such as eth0`,
  );
}

/** An absolute path: a service has no folder that a relative one could start from. */
export function parseFilePath(raw: unknown): Parsed<string> {
  const path = text(raw, 'a path');
  if (path.kind === 'invalid') return path;
  if (path.value.startsWith('/') && path.value.length <= limits.pathLength && !path.value.includes('\0'))
    return path;
  return invalid(`${quote(raw)} is not an absolute path; write one that begins with /`);
}

const unitSuffix = /\.(service|socket|target|mount|automount|timer|path|slice|scope|swap|device)$/;
const unitLengthMax = 255;

/** A systemd unit (systemd.unit(5)); without a suffix it is a service, as for systemctl. */
export function parseUnit(raw: unknown): Parsed<string> {
  const name = text(raw, 'a systemd unit');
  if (name.kind === 'invalid') return name;
  const unit = unitSuffix.test(name.value) ? name.value : `${name.value}.service`;
  if (!/^[A-Za-z0-9][A-Za-z0-9:_.\\@-]*$/.test(unit) || unit.length > unitLengthMax) {
    return invalid(`${quote(raw)} is not a systemd unit; write one such as d3.service`);
  }
  if (/@\.[a-z]+$/.test(unit)) {
    return invalid(
      `${quote(raw)} is a template without an instance; write one such as ${unit.replace('@', '@main')}`,
    );
  }
  return ok(unit);
}
