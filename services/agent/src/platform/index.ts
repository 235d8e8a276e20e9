/**
 * The platform of the system that this process runs on.
 */
import { createLinuxPlatform } from './linux/index.ts';
import type { LinuxOptions } from './linux/index.ts';
import type { Platform } from './platform.ts';
import { windowsUnsupported } from './windows/index.ts';

export type * from './platform.ts';
export type { LinuxOptions } from './linux/index.ts';

export type PlatformChoice =
  | { readonly kind: 'platform'; readonly platform: Platform }
  | { readonly kind: 'unsupported'; readonly says: string };

/** `system` as Node names it (process.platform). */
export function choosePlatform(
  options: LinuxOptions = {},
  system: string = process.platform,
): PlatformChoice {
  switch (system) {
    case 'linux':
      return { kind: 'platform', platform: createLinuxPlatform(options) };
    case 'win32':
      return windowsUnsupported;
    default:
      return { kind: 'unsupported', says: `Holdfast does not run on ${system}; run it on Linux` };
  }
}
