/**
 * By what name the system knows a file or a block device, in every boot. Numbers of devices change with a boot, and so do
 * the names below /dev, so neither is one.
 *
 *   N1  an image file is its inode and the time at which that was made. A file system that keeps no such time has no names;
 *       where the system can't be asked for it, Node tells the time of the last change in its place
 *   N2  a device is what its driver calls it for good: the UUID of device mapper or md, the UUID of the partition, the
 *       world wide name, or the serial number. One that has none of them has no name
 */

import { fstatSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Where the system tells of devices; others for tests. */
export interface DeviceFolders {
  readonly sys: string;
  readonly dev: string;
}

const usual: DeviceFolders = { sys: '/sys', dev: '/dev' };

/** Empty: it has none. */
export function storeName(fd: number): string {
  const stat = fstatSync(fd, { bigint: true });
  if (stat.isBlockDevice()) return deviceName(majorOf(stat.rdev), minorOf(stat.rdev));
  const told = stat.birthtimeNs > 0n && stat.birthtimeNs !== stat.ctimeNs;
  return told ? `file ${stat.ino} made at ${stat.birthtimeNs}` : ''; // N1
}

/** N2. */
export function deviceName(major: number, minor: number, { sys, dev }: DeviceFolders = usual): string {
  const folder = join(sys, 'dev/block', `${major}:${minor}`);
  for (const file of ['dm/uuid', 'md/uuid']) {
    const found = textOf(join(folder, file));
    if (found !== '') return `${file.slice(0, 2)} ${found}`;
  }
  if (textOf(join(folder, 'partition')) !== '') {
    const uuid = linkTo(join(dev, 'disk/by-partuuid'), folder);
    return uuid === '' ? '' : `partition ${uuid}`;
  }
  for (const file of ['wwid', 'device/wwid', 'serial', 'device/serial']) {
    const found = textOf(join(folder, file));
    if (found !== '') return `device ${found}`;
  }
  return '';
}

/** The name of the link that leads to the device of a folder of sysfs. */
function linkTo(links: string, folder: string): string {
  try {
    const device = basename(realpathSync(folder));
    return readdirSync(links).find((link) => basename(realpathSync(join(links, link))) === device) ?? '';
  } catch {
    return ''; // No udev: it has no name.
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1').trim();
  } catch {
    return '';
  }
}

/** As gnu_dev_major and gnu_dev_minor of the C library. */
const majorOf = (device: bigint): number =>
  Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
const minorOf = (device: bigint): number => Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
