import { test } from "@jest/globals";
import { Dict } from "@partd/core";
import { storeContract } from "@partd/testing";

for (const { name, run } of storeContract(() => new Dict())) test(name, run);
