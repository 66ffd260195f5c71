"""Calls as people write them, for a type checker: it finds a mistake in each line marked `wrong`, and in no other."""

from pathlib import Path

import pandas as pd

import imagen_nb as im

run = im.generate("a red fox", aspect_ratio="16:9", timeout=60)
run = im.generate(prompt="a red fox", model="google/imagen-4", slots={}, experiment="foxes")
im.generate("a", timeout="x")  # wrong
im.generate("a", experiment=3)  # wrong
im.generate(3)  # wrong
im.generate("a", model=["a/b", "c/d"])  # wrong

plan = im.plan("a {animal}", animal=["fox", "owl"], repeat=2, zipped=[("a", "b")], sample=3)
plan = im.plan(pd.DataFrame({"prompt": ["a fox"]}), aspect_ratio="1:1")
plan = im.plan([{"prompt": "a fox", "seed": 3}])
plan = im.plan(Path("prompts.csv"))
im.plan("a", repeat="2")  # wrong
im.plan("a", raw="yes")  # wrong
im.plan(3)  # wrong

runs = im.run(plan, experiment="x", budget=5.0, resume=True, jobs=4, background=True)
runs = im.run("a {red|blue} fox", repeat=2, experiment="foxes", aspect_ratio=["1:1", "16:9"])
runs = im.run(["a fox", "an owl"], model=["a/b", "c/d"])
im.run(plan, experimnt="x")  # wrong
im.run(plan, repeat=2)  # wrong
im.run(plan, budget="5")  # wrong
im.run("a fox", budget="5")  # wrong
im.run("a fox", background="transparent")  # wrong
one: im.Runs = im.generate("a fox")  # wrong

prompts: list[str] = [each.request.prompt for each in runs]
path: Path = runs[0].images[0].save("foxes/")
size: tuple[int, int] = runs[0].images[0].pil().size
data: bytes = runs[0].images[0].read()
run = runs[0].rate(5, note="the best", favourite=True)
run = run.again()
run.rate("5")  # wrong
run.rat(5)  # wrong

df = im.frame(experiment="foxes", status=["succeeded", "blocked"], last=10)
df.imagen.gallery(page=2)
df[df["status"] == "succeeded"].imagen.grid(rows="animal", cols=["style", "seed"])
runs.frame().imagen.report("report.html", title="Foxes")
im.read_log("log.csv").imagen.summary(by="model")
df.imagen.galery()  # wrong
df.imagen.gallery(pages=2)  # wrong
im.frame(experimnt="foxes")  # wrong
im.frame(last="10")  # wrong

scored = df.imagen.score("sharpness").imagen.score(im.scorers.ask("openai/gpt-5-mini", "Is it a fox?"), name="fox")
scored.imagen.judge_with(["openai/gpt-5-mini", "google/gemini-2.5-flash"], by="style", budget=0.5).sentence.lower()
df.imagen.score(im.scorers.sharpness, version="2").imagen.gallery()
df.imagen.score(3)  # wrong
df.imagen.judge_with("a/b")  # wrong

im.rate(run, 4)
im.rate(run.id, favourite=True)
im.rate(run, stars=4)  # wrong
known: pd.DataFrame = im.models()
runs = im.reconcile(timeout=60, adopt=["abc"])
im.reconcile(60, ["abc"])  # wrong

with im.Workspace(home="foxes", provider="simulator", jobs=4) as ws:
    runs = ws.run("a {red|blue} fox", repeat=2)
    runs = ws.run(ws.plan("a fox"), experiment="x")
    run = ws.generate("a fox", aspect_ratio="1:1")
    ws.run(plan, experimnt="x")  # wrong
    ws.generate("a fox", timeout="x")  # wrong
    ws.frame(stat="failed")  # wrong
im.Workspace(hme="foxes")  # wrong
