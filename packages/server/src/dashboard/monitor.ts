import type { IncomingMessage, ServerResponse } from "node:http";
import type { Access } from "../server/access.js";
import type { ServerStats } from "../server/stats.js";

/** Answers plain HTTP requests: `/healthz`, the numbers, and the dashboard. */
export class Monitor {
  readonly #access: Access;
  readonly #dashboard: boolean;
  readonly #stats: () => ServerStats;
  #metrics: Promise<{ text(): Promise<string>; readonly contentType: string }> | undefined;

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
      const { metricsOf } = await import("./metrics.js");
      this.#metrics ??= metricsOf(this.#stats);
      const metrics = await this.#metrics;
      send(response, 200, metrics.contentType, await metrics.text());
    } else if (path === "/stats" && this.#dashboard) {
      send(response, 200, "application/json", JSON.stringify(this.#stats()));
    } else if (path === "/" && this.#dashboard) {
      const { dashboardPage, dashboardPolicy } = await import("./page.js");
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
