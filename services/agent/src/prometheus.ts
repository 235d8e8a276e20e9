/** Of the package `prom-client`, what is used; loaded when metrics are asked for. */
export { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
