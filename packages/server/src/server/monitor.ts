import type { IncomingMessage, ServerResponse } from "node:http";
import type { Access } from "./access.js";
import type { ServerStats } from "./stats.js";

/** Answers plain HTTP requests: `/healthz`, the numbers, and the dashboard. */
export class Monitor {
  readonly #access: Access;
  readonly #dashboard: boolean;
  readonly #stats: () => ServerStats;
  #metrics: Promise<Metrics> | undefined;

  constructor(access: Access, dashboard: boolean, stats: () => ServerStats) {
    this.#access = access;
    this.#dashboard = dashboard;
    this.#stats = stats;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(request, response);
    } catch {
      send(response, 500, "text/plain", "The server failed to answer.\n");
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "/").replace(/\?.*$/s, "");
    if (request.method !== "GET" && request.method !== "HEAD") {
      send(response, 405, "text/plain", "Only GET.\n");
    } else if (path === "/healthz") {
      // This reveals no more than a connection attempt would.
      send(response, 200, "text/plain", "ok\n");
    } else if (!this.#access.allowsPlain(request)) {
      send(
        response,
        403,
        "text/plain",
        "Not for pages of another origin or host; see the server's origins and hosts.\n",
      );
    } else if (!this.#access.allowsRequest(request)) {
      response.setHeader("WWW-Authenticate", 'Basic realm="partd: the token is the password"');
      send(response, 401, "text/plain", "The token is needed.\n");
    } else if (path === "/metrics") {
      this.#metrics ??= metricsOf(this.#stats);
      const metrics = await this.#metrics;
      send(response, 200, metrics.contentType, await metrics.text());
    } else if (path === "/stats" && this.#dashboard) {
      send(response, 200, "application/json", JSON.stringify(this.#stats()));
    } else if (path === "/" && this.#dashboard) {
      const { dashboardPage, dashboardPolicy } = await import("./dashboard-page.js");
      response.setHeader("Content-Security-Policy", dashboardPolicy);
      send(response, 200, "text/html; charset=utf-8", dashboardPage);
    } else {
      send(response, 404, "text/plain", "Nothing here; clients connect with @partd/server.\n");
    }
  }
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, {
    "Content-Type": type,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
  });
  response.end(text);
}

// ---- Metrics -----------------------------------------------------------------------------------

/** The numbers of a server in the text format of Prometheus. */
interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Loads `prom-client` only when the numbers are first asked for. */
async function metricsOf(stats: () => ServerStats): Promise<Metrics> {
  const { Counter, Gauge, Registry } = await import("prom-client");
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
