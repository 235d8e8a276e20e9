/** The library of certificates as it is used here; loaded as a whole by whoever needs it (pki.ts). */
import './reflect-metadata.ts';
import { cryptoProvider } from '@peculiar/x509';
import { webcrypto } from 'node:crypto';

cryptoProvider.set(webcrypto);

export * as x509 from '@peculiar/x509';
