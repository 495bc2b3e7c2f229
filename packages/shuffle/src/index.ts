export { type DistinctOptions, distinct } from "./distinct/distinct.js";
export {
  type Aggregated,
  type AggregateOptions,
  aggregate,
  type CountByOptions,
  CountOutput,
  countBy,
  EntryOutput,
  type ReduceByOptions,
  reduceBy,
  type Selection,
} from "./fold/aggregate.js";
export {
  type Aggregate,
  count,
  type FieldAggregate,
  first,
  last,
  max,
  mean,
  min,
  sum,
  type ValueOf,
} from "./fold/aggregates.js";
export type { EncodedEntries } from "./fold/fold.js";
export type { OwnAggregate } from "./fold/own-column.js";
export type { Group } from "./group/group.js";
export { type GroupByOptions, groupBy } from "./group/group-by.js";
export { type Joined, type JoinOptions, JoinOutput, join } from "./join/join.js";
export type { JoinKind } from "./join/kind.js";
export { type Partitioner, type Range, range } from "./partition/partitioner.js";
export { type Partition, type ShuffleOptions, shuffle } from "./partition/shuffle.js";
export { Output } from "./run/output.js";
export type { Progress } from "./run/progress.js";
export { longestRecord, type Operation } from "./run/record-limit.js";
export { RecordOutput } from "./run/record-output.js";
export type { RunOptions } from "./run/run.js";
export { type SortOptions, sort } from "./sort/sort.js";
export type { SortKey, SortRule } from "./sort/sort-key.js";
export { type TopOptions, top } from "./sort/top.js";
export type { By, KeyOf } from "./source/by.js";
export type { RecordCodec, Source } from "./source/input.js";
export type { Missing, MissingOption } from "./source/missing.js";
export { type SplitOptions, type SplitResult, split } from "./split/split.js";
export { Shuffle, type ShuffleTasksOptions, type TaskAttempt } from "./tasks/shuffle-tasks.js";
export { TaskWriter } from "./tasks/task-writer.js";
