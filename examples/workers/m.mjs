import { FileStore } from "@partd/file"; import { LogStore } from "@partd/log"; import { createRequire } from "node:module"; import { pathToFileURL } from "node:url";
import { rmSync, mkdtempSync } from "node:fs";
const { BufferStore } = await import(pathToFileURL("/work/wt/examples/packages/buffer/dist/index.js").href);
import { Dict } from "@partd/core";
const [kind, how, n="300000"] = process.argv.slice(2);
const dir = mkdtempSync("/tmp/exm-");
const make = { file: () => new FileStore(dir+"/s"), log: () => new LogStore(dir+"/s"), bfile: () => new BufferStore(new Dict(), new FileStore(dir+"/s"), {availableMemory: 32e6}), blog: () => new BufferStore(new Dict(), new LogStore(dir+"/s"), {availableMemory: 32e6}) }[kind];
const store = make();
let seed=1; const random=()=>{seed=(Math.imul(seed,1664525)+1013904223)>>>0; return seed/2**32};
const line = Buffer.alloc(120,"x");
const cpu=()=>{const u=process.cpuUsage(); return (u.user+u.system)/1e6};
let c=cpu(), w=performance.now();
for (let i=0;i<Number(n);i+=10000) { const m=new Map(); for(let j=0;j<10000;j++){const k="user-"+Math.floor(60000*random()**1.5); const l=m.get(k); if(l) l.push(line); else m.set(k,[line]);} await store.append([...m].map(([k,l])=>[k,l.length===1?l[0]:Buffer.concat(l)])); }
await store.flush();
const wrote=cpu()-c, wroteW=(performance.now()-w)/1e3;
c=cpu(); w=performance.now();
let bytes=0, keys=0;
if (how==="one") { const ks=[]; for await(const k of store.keys()) ks.push(k); for (const k of ks) {bytes+=(await store.get(k)).length; keys++;} }
if (how==="many") { const ks=[]; for await(const k of store.keys()) ks.push(k); for (let i=0;i<ks.length;i+=1000) for (const v of await store.get(ks.slice(i,i+1000))) {bytes+=v.length; keys++;} }
if (how==="entries") for await (const [,v] of store.entries()) {bytes+=v.length; keys++;}
if (how==="compact") { await store.compact(); for await (const [,v] of store.entries()) {bytes+=v.length; keys++;} }
console.log([kind,how,keys,bytes,"write cpu",wrote.toFixed(2),"wall",wroteW.toFixed(2),"read cpu",(cpu()-c).toFixed(2),"wall",((performance.now()-w)/1e3).toFixed(2)].join(" "));
await store.close(); rmSync(dir,{recursive:true});
