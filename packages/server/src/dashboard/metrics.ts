import { Counter, Gauge, Registry } from "prom-client";
import type { ServerStats } from "../server/stats.js";

/** The numbers of a server in the text format of Prometheus. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** The metrics: name, help text, value. Names of totals end in `_total`. */
const METRICS: readonly (readonly [string, string, (stats: ServerStats) => number])[] = [
  ["connections", "Connections that are open", (s) => s.connections],
  ["sessions", "Clients that are connected or may come back", (s) => s.sessions],
  ["pending_requests", "Requests without an answer", (s) => s.pending],
  ["pending_request_bytes", "Bytes of requests without an answer", (s) => s.requestBytes],
  ["pending_answer_bytes", "Bytes of answers that clients have not taken", (s) => s.answerBytes],
  ["keys", "Keys that hold bytes appended through this server", (s) => s.keys.count],
  ["key_bytes", "Bytes that those keys hold", (s) => s.keys.bytes],
  ["largest_key_bytes", "Bytes of the largest key", (s) => s.keys.largest[0]?.bytes ?? 0],
  ["resident_memory_bytes", "Resident memory of the process", (s) => s.memory],
  ["connections_total", "Connections accepted", (s) => s.totals.connections],
  ["refused_connections_total", "Connections turned away", (s) => s.totals.refused],
  ["protocol_errors_total", "Connections that broke the protocol", (s) => s.totals.protocolErrors],
  ["requests_total", "Requests", (s) => s.totals.requests],
  ["repeated_requests_total", "Requests sent again and not carried out again", (s) => s.repeated],
  ["errors_total", "Requests answered with an error", (s) => s.totals.errors],
  ["appends_total", "Appends", (s) => s.totals.appends],
  ["appended_keys_total", "Keys appended to", (s) => s.totals.appendedKeys],
  ["appended_bytes_total", "Bytes of values appended", (s) => s.totals.appendedBytes],
  ["read_bytes_total", "Bytes of values read", (s) => s.totals.readBytes],
  ["received_bytes_total", "Bytes of messages received", (s) => s.totals.receivedBytes],
  ["sent_bytes_total", "Bytes of messages sent", (s) => s.totals.sentBytes],
];

export async function metricsOf(stats: () => ServerStats): Promise<Metrics> {
  const registry = new Registry();
  const metrics = METRICS.map(([name, help, value]) => {
    const options = { name: `partd_${name}`, help, registers: [registry] };
    if (!name.endsWith("_total")) {
      const gauge = new Gauge(options);
      return (now: ServerStats) => gauge.set(value(now));
    }
    const counter = new Counter(options);
    return (now: ServerStats) => {
      counter.reset(); // The total is counted elsewhere: set it.
      counter.inc(value(now));
    };
  });
  const store = new Gauge({
    name: "partd_store",
    help: "What the store tells of itself",
    labelNames: ["of"] as const,
    registers: [registry],
  });
  return {
    contentType: registry.contentType,
    async text() {
      const now = stats();
      for (const set of metrics) set(now);
      for (const [of, value] of Object.entries(now.store)) store.set({ of }, value);
      return registry.metrics();
    },
  };
}
