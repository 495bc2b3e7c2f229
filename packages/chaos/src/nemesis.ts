import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "./random.js";
import type { Actor, Scene } from "./scene.js";
import type { Tower } from "./tower.js";

export type Fault =
  | "kill"
  | "stop"
  | "thread"
  | "temporary"
  | "namespace"
  | "clock"
  | "disk"
  | "cut"
  | "storm"
  | "restart"
  | "rival"
  | "python";

/** What can go wrong under a tower, by its promises. */
export function faultsOf({ served, buffered, clustered, turns }: Tower): readonly Fault[] {
  if (turns) return ["clock", "python"];
  if (clustered) return ["kill", "clock", "rival"];
  if (served) return ["kill", "stop", "clock", "disk", "cut", "storm", "restart"];
  const local = ["kill", "stop", "clock", "disk", "temporary"] as const;
  return buffered ? local : [...local, "thread", "namespace"];
}

export interface Deed {
  readonly fault: Fault;
  /** Milliseconds from the one before, and from its beginning to its end. */
  readonly after: number;
  readonly lasts: number;
  /** Chooses whom it meets, and how: from 0 to 1. */
  readonly choice: number;
}

/** What goes wrong, and when, in a round of so many milliseconds. */
export function deedsOf(faults: readonly Fault[], random: Random, milliseconds: number): Deed[] {
  const deeds: Deed[] = [];
  for (let at = 0; at < milliseconds; ) {
    const fault = random.pick(faults);
    const after = random.integer(100, 1_000);
    const [least, most] = LASTS[fault];
    const lasts = random.integer(least, most);
    deeds.push({ fault, after, lasts, choice: random.fraction() });
    at += after + lasts;
  }
  return deeds;
}

/** Milliseconds. A lock is stale after 2,000. */
const LASTS: Readonly<Record<Fault, readonly [least: number, most: number]>> = {
  kill: [0, 1],
  stop: [2_600, 4_000],
  thread: [0, 1],
  temporary: [0, 600],
  namespace: [0, 1],
  clock: [0, 1],
  disk: [300, 1_500],
  cut: [0, 600],
  storm: [0, 600],
  restart: [0, 1],
  rival: [0, 600],
  python: [0, 1],
};

export async function act(scene: Scene, deeds: readonly Deed[]): Promise<void> {
  for (const deed of deeds) {
    await sleep(deed.after);
    await ACTS[deed.fault](scene, deed);
  }
}

const ACTS: Readonly<Record<Fault, (scene: Scene, deed: Deed) => Promise<void>>> = {
  kill: (scene, deed) => scene.kill(chosen(scene.workers, deed)),

  stop: async (scene, deed) => {
    const { workers, server } = scene;
    const actor = chosen(server ? [...workers, server] : workers, deed);
    const isInWrite = (deed.choice * 1_000) % 1 < 0.7; // Or at any moment.
    if (isInWrite) actor.say("stop");
    else actor.process.kill("SIGSTOP");
    await sleep(deed.lasts);
    actor.say("go on");
    actor.process.kill("SIGCONT");
  },

  thread: async (scene) => {
    scene.workers.find(({ options }) => options.threads > 0)?.say("thread");
  },

  temporary: async (scene, deed) => {
    scene.workers[0]?.say("temporary");
    await sleep(deed.lasts);
  },

  namespace: (scene) => scene.kill(scene.workers.find(({ isApart }) => isApart) as Actor),

  clock: async (scene, deed) => {
    const { workers, server } = scene;
    const hours = 3_600_000;
    const skew = Math.round(
      (deed.choice * 1_000) % 1 > 0.5 ? deed.choice * hours : -deed.choice * hours,
    );
    chosen(server ? [...workers, server] : workers, deed).say(`clock ${skew}`);
  },

  disk: async (scene, deed) => {
    scene.disk?.fill(Math.round(deed.choice * 2 ** 17));
    await sleep(deed.lasts);
    scene.disk?.empty();
  },

  cut: async (scene, deed) => {
    scene.cut();
    await sleep(deed.lasts);
    scene.heal();
  },

  storm: async (scene, deed) => {
    scene.cut();
    scene.workers[0]?.say("storm");
    await sleep(deed.lasts);
    scene.heal();
  },

  restart: (scene, deed) => scene.restart(deed.choice < 0.7),

  rival: async (scene, deed) => {
    scene.server?.say("rival");
    await sleep(deed.lasts);
  },

  python: async (scene) => scene.workers[0]?.say("python"),
};

function chosen(actors: readonly Actor[], { choice }: Deed): Actor {
  return actors[Math.floor(choice * actors.length)] as Actor;
}
