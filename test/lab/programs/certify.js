// Gives a member a certificate that its own cluster's authority would not give it: for tests of what is refused.
//
//   certify.js expired AUTHORITY_DIR MEMBER_DIR       ended yesterday
//   certify.js stranger AUTHORITY_DIR MEMBER_DIR      signed by the authority of another cluster, for the same names
//
// The authority's key is taken from AUTHORITY_DIR (the directory of a member), the names from MEMBER_DIR/pki/member.crt.
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSigningRequest, issueCertificate } from '../../../services/wire/dist/pki.js';

const [how, authorityDir, memberDir] = process.argv.slice(2);
const pki = (dir, name) => join(dir, 'pki', name);
const read = (dir, name) => readFileSync(pki(dir, name), 'utf8');

const uri = /URI:holdfast:\/\/([^/]+)\/([^/]+)\/([^,\s]+)/.exec(
  new X509Certificate(read(memberDir, 'member.crt')).subjectAltName,
);
const [, cluster, role, id] = uri;
const day = 24 * 60 * 60 * 1000;
const { request, key } = await createSigningRequest(id);
const issued = await issueCertificate(
  { certificate: read(authorityDir, 'authority.crt'), key: read(authorityDir, 'authority.key') },
  request,
  {
    peer: { cluster, role, id },
    addresses: ['127.0.0.1'],
    ...(how === 'expired' && { nowMs: Date.now() - 3 * day, lifeMs: 2 * day }),
  },
);
if (issued.kind !== 'ok') throw new Error(issued.error.says);
writeFileSync(pki(memberDir, 'member.crt'), issued.value);
writeFileSync(pki(memberDir, 'member.key'), key);
