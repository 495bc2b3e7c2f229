import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { createSecureContext } from "node:tls";
import { BufferStore } from "@partd/buffer";
import { Dict, isPartdError } from "@partd/core";
import { Server } from "@partd/server";
import type { Action } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { DataSet, isAddress, readText, tokenOf } from "./data-set.js";

/** `partd serve`. */
export const serve: Action = async (call) => {
  const { options, terminal, signal } = call;
  const [place] = call.arguments as [string];
  if (isAddress(place)) {
    throw new UsageError("serve takes a directory; --address says where to listen");
  }
  const address = options.text("address");
  if (address !== undefined && !isAddress(address)) {
    throw new UsageError(
      `--address ${address}: it begins with ws://, wss:// or ipc://, such as ws://127.0.0.1:8765`,
    );
  }
  requireSocketFolder(address);
  const token = tokenOf(options);
  const [cert, key] = ["cert", "key"].map((name) => {
    const path = options.text(name);
    return path === undefined ? undefined : readText(path, `--${name}`);
  });
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--cert and --key go together");
  }
  if (cert === undefined && /^wss:/i.test(address ?? "")) {
    throw new UsageError("wss:// needs --cert and --key");
  }
  if (cert !== undefined) requirePem({ cert, key: key as string });
  await using dataSet = await DataSet.open(place, options, {
    create: true,
    fsync: options.has("fsync"),
  });
  const memory = options.number("memory");
  const store =
    memory === undefined
      ? dataSet.store
      : new BufferStore(new Dict(), dataSet.store, { availableMemory: memory });
  const server = await Server.listen(store, {
    address,
    token,
    tls: cert === undefined ? undefined : { cert, key },
    insecure: options.has("insecure"),
    origins: options.list("origin"),
    dashboard: options.has("page"),
  }).catch(explain);
  if (terminal.json) await terminal.line(JSON.stringify({ address: server.address }));
  else await terminal.line(server.address);
  if (options.has("page") && /^ws/.test(server.address)) {
    terminal.note(`the page is at ${server.address.replace(/^ws/, "http")}/`);
  }
  if (!signal.aborted) await once(signal, "abort");
  terminal.note("writing down what is in memory");
  await server.close();
  return undefined;
};

/** Checks where a socket file would lie, before the data set is made. */
function requireSocketFolder(address: string | undefined): void {
  const path = /^ipc:\/\/(.+)/i.exec(address ?? "")?.[1];
  if (path === undefined || process.platform === "win32" || existsSync(dirname(path))) return;
  throw new UsageError(`--address ${address}: there is no directory ${dirname(path)}`);
}

/** Checks the certificate before the data set is made: a server that cannot listen would leave one behind. */
function requirePem(pem: { cert: string; key: string }): void {
  try {
    createSecureContext(pem);
  } catch (error) {
    throw new UsageError(
      `--cert and --key are to be a certificate and its private key, as PEM: ${(error as Error).message}`,
    );
  }
}

/** Throws the error with the command's options in place of the library's. */
function explain(error: unknown): never {
  if (isPartdError(error, "ERR_PARTD_VALUE")) {
    throw new UsageError(error.message.replace(/^origins has /, "--origin has "));
  }
  if (!isPartdError(error, "ERR_PARTD_AUTH")) throw error;
  throw new UsageError(
    "other machines reach this address: set PARTD_TOKEN or --token-file, or say --insecure",
  );
}
