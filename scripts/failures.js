#!/usr/bin/env node
// The tests that failed, by a report of jest, each with the first lines of what it says.
// usage: scripts/failures.js REPORT

import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const linesMax = 12;
const colours = /\u001b\[[0-9;]*m/g;

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const file of report.testResults) {
  const failed = file.assertionResults.filter(({ status }) => status === 'failed');
  if (failed.length === 0 && file.status !== 'failed') continue;
  console.log(`\nFAILED ${relative('.', file.name)}`);
  for (const { fullName, failureMessages } of failed) says(fullName, failureMessages.join('\n'));
  if (failed.length === 0) says('the file itself', file.message);
}

function says(what, text) {
  const lines = text
    .replace(colours, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  console.log(`  ${what}`);
  for (const line of lines.slice(0, linesMax)) console.log(`    ${line}`);
  if (lines.length > linesMax) console.log(`    (${lines.length - linesMax} more lines above)`);
}
