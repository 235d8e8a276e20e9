/** Of the package `yaml`, what commands need; loaded by those that do. */
export { LineCounter, parseDocument, stringify } from 'yaml';
