// Scans lines of JSON and rows of CSV for fields, without parsing them: what @partd/records uses.
//
// Nothing here decides that a record is malformed. Whatever is not plain (a fault, an escape or a
// number that JSON.stringify writes in another way, bytes that are not UTF-8, a list as a key) ends
// the scan with ASK at that record, and the plain scanner in JavaScript decides and goes on behind
// it. So that both give the same answers, this side has only to be right where it says yes.
//
// JavaScript lays out the memory: the input, ended by a newline and SLACK bytes that may be read but
// mean nothing, then the arrays of `State`, then the arena of keys, which may grow.
#include "scan/state.h"
#include "scan/bytes.h"
#include "scan/json.h"
#include "scan/keys.h"
#include "scan/numbers.h"
#include "scan/ndjson.h"
#include "scan/csv.h"
#include "scan/scatter.h"
#include "scan/totals.h"
#include "scan/partners.h"
