import time, statistics
from test_api_intake import *
async def test_measure(bench, owner, reading, capsys):
    names={f"c{i}_w":1.0 for i in range(12)}
    await owner.post("/api/v1/readings", {"readings": [reading(**names)]})
    await store_rollups(bench, 744, width=12)
    n = await device_id(owner)
    path=f"/api/v1/devices/{n}/rollups?aggregation=h&from=2025-06-01T00:00:00Z&to=2025-07-03T00:00:00Z"
    import api_bench
    api_bench.check=lambda *a: None
    async def run(path,k=100):
        t=[]
        for _ in range(k):
            a=time.perf_counter(); r=await owner.get(path); t.append((time.perf_counter()-a)*1000); assert r.status==200
        t.sort()
        return f"{path[:60]} p50 {t[k//2]:.1f} p95 {t[int(k*.95)]:.1f} ms, {len(r.body)} bytes"
    out=[await run(path), await run(path+"&channel=c0_w"), await run("/api/v1/devices"), await run("/api/v1/session")]
    from wattwire.store import rollups as sr
    from datetime import datetime,UTC
    sid=await bench.pool.fetchval("select id from stream")
    t=[]
    for _ in range(50):
        a=time.perf_counter(); rows=await sr.read_rollups(bench.pool,[sid],'h',datetime(2025,6,1,tzinfo=UTC),datetime(2025,7,3,tzinfo=UTC),limit=1001); t.append((time.perf_counter()-a)*1000)
    t.sort(); out.append(f"read_rollups p50 {t[25]:.1f}")
    import cProfile,pstats,io
    from wattwire.api import rollups as ar
    from wattwire.store import devices
    streams=await devices.list_streams(bench.pool,(await bench.pool.fetchval("select id from organization")),n)
    t=[]
    for _ in range(50):
        a=time.perf_counter(); items=ar._items(rows,streams,None); b=ar._encode(items); t.append((time.perf_counter()-a)*1000)
    t.sort(); out.append(f"items+encode p50 {t[25]:.1f}")
    V={
 "all": """SELECT stream_id, start, "end", count, mean, minimum, maximum, total, difference, first_value, last_value, texts, readings, completeness FROM rollup WHERE stream_id=$1 AND bucket='h' ORDER BY start""",
 "four": """SELECT start, "end", count, mean, minimum, maximum, readings, completeness FROM rollup WHERE stream_id=$1 AND bucket='h' ORDER BY start""",
 "block": """SELECT array_agg(start), array_agg("end"), string_agg(array_send(count),''), string_agg(array_send(array_replace(mean,NULL,'NaN')),''), string_agg(array_send(array_replace(minimum,NULL,'NaN')),''), string_agg(array_send(array_replace(maximum,NULL,'NaN')),''), array_agg(readings), array_agg(completeness) FROM (SELECT * FROM rollup WHERE stream_id=$1 AND bucket='h' ORDER BY start) x""",
    "count": "SELECT count(mean), sum(cardinality(mean)) FROM rollup WHERE stream_id=$1 AND bucket='h'",
    }
    for name,q in V.items():
        t=[]
        for _ in range(60):
            a=time.perf_counter(); rr=await bench.pool.fetch(q,sid); t.append((time.perf_counter()-a)*1000)
        t.sort(); out.append(f"{name} p50 {t[30]:.1f} min {t[0]:.1f}")
    with capsys.disabled():
        print(); print("\n".join(out))
