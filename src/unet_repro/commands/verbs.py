"""The verbs of the command line: what each is for, with examples. Imports nothing slow, for help and completion."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb; the module of its name in ``unet_repro.commands`` has a ``main`` that takes the other arguments.

    Attributes:
        purpose: What it does, for the list of verbs.
        examples: Three arguments lines, without ``unet-repro`` and the verb.
        config: Name of the configuration in ``conf/`` that it composes with Hydra; ``None``: its options are in
            ``commands.options``.
        about: What else its help says.
    """

    purpose: str
    examples: tuple[str, str, str]
    config: str | None = None
    about: str = ""


VERBS = {
    "train": Verb(
        "train one network, or a sweep with -m",
        (
            "data=isbi2012 optimizer=adam model.width=16",
            "-m model.norm=none,batch seed=0,1,2 hydra/launcher=local",
            "-m experiment=weight_map seed=0,1,2",
        ),
        config="train",
        about="A finished run is not trained again, and a stopped one resumes. With -m, comma-separated values are "
        "swept, and an experiment's arms are trained as one comparison.",
    ),
    "evaluate": Verb(
        "measure a finished run on its validation or test images",
        ("run=runs/0123456789ab", "run=runs/0123456789ab part=test views=8", "comparison=kfold"),
        config="evaluate",
    ),
    "predict": Verb(
        "segment images of any kind and size with a run",
        (
            "run=runs/0123456789ab input=images/ output=predicted/",
            "model=model.zip input=stack.tif output=membranes.tif",
            "run=runs/0123456789ab input='scans/*.png' output=probabilities/ kind=probabilities views=8",
        ),
        config="predict",
    ),
    "export": Verb(
        "export a run as BioImage.IO package, ONNX file, or page that segments images in a browser",
        (
            "model=em-membranes output=em.html",
            "run=runs/0123456789ab output=model.onnx checkpoint=last",
            "run=runs/0123456789ab output=model.zip author='Ada Lovelace' licence=CC-BY-4.0",
        ),
        config="export",
    ),
    "submit-isbi": Verb(
        "write the 30 test slices' probabilities for the ISBI 2012 challenge",
        (
            "run=runs/0123456789ab",
            "run='[runs/0123456789ab,runs/ba9876543210]' output=mean.tif",
            "comparison=kfold views=8",
        ),
        config="submit-isbi",
    ),
    "reproduce": Verb(
        "run the suite: train the ablations, then write verdicts, page, tables and figures",
        ("--scale smoke", "--experiments all --seeds 5 --jobs 4", "--scale paper --launcher slurm --dry-run"),
        about="The same command resumes a stopped suite. What it writes is in reports/ablations.",
    ),
    "report": Verb(
        "write verdicts, page, tables and figures of the runs trained so far",
        ("", "weight_map optimizer", "--record"),
    ),
    "verify": Verb(
        "check the published record: README and page agree with it, and a run of it can be trained again",
        ("", "--run 0123456789ab", "--skip-training"),
        about="The run is chosen at random. On the same kind of processor with the same number of threads it must be "
        "bit-identical, elsewhere close.",
    ),
    "runs": Verb(
        "list the runs of a folder: setting, data, score, when, state",
        ("", "/data/runs", "--state done --sort score"),
    ),
    "tiles": Verb("list legal tile sizes, or check one", ("", "572", "396 --depth 3 --width 16")),
    "inspect": Verb(
        "check a data set: images, labels, split, warnings, a plan for training, and a page of pictures",
        ("data=folder data.root=mine", "data=folder data.root=mine model.width=32 --out mine.html", "data=isbi2012"),
        about="Takes settings as train does; without experiment= those of experiment=own_data. Times a few steps.",
    ),
    "weights": Verb(
        "draw an image, its labels and every weight map to a PNG",
        ("data=isbi2012", "data=hela split=sequence --crop 400", "data=folder data.root=mine --out maps.png"),
        about="Takes settings as train does.",
    ),
    "sweep-status": Verb(
        "show the progress of every run of a comparison",
        ("", "weight_map", "--watch --runs-dir /data/runs"),
        about="A run is new, running (where), partial (at which step), failed (why) or done.",
    ),
    "search": Verb(
        "tune settings with Optuna; resumable",
        (
            "data=isbi2012 hydra.sweeper.trials=50",
            "experiment=fair_optimizer hydra/launcher=local",
            "data=isbi2012 'hydra.sweeper.space=[optimizer.lr=tag(log,interval(1e-5,1e-2))]'",
        ),
        config="train",
        about="Takes settings as train does: those given are fixed, those in hydra.sweeper.space are tuned.",
    ),
    "wandb-sync": Verb(
        "upload the finished runs' offline W&B files",
        ("", "weight_map optimizer", "--entity my-team --force"),
        about="Runs already uploaded are skipped. The exit status is 1 if a run was not uploaded.",
    ),
    "wandb-dashboard": Verb(
        "build the comparison in W&B: workspace, report, verdict table",
        ("", "weight_map --project my-project", "--dry-run"),
        about="The workspace and the report have the page's panels. Upload the runs first: unet-repro wandb-sync. A "
        "repeated call updates what it built.",
    ),
    "fetch": Verb(
        "download a data set and check its SHA-256",
        ("isbi2012", "hela --root /data", "u373 --base-url https://mirror.example.org/ctc"),
    ),
    "completion": Verb(
        "print a script that completes verbs, settings, options and run ids in a shell",
        (
            "bash > ~/.local/share/bash-completion/completions/unet-repro",
            "zsh > ~/.zfunc/_unet-repro",
            "fish > ~/.config/fish/completions/unet-repro.fish",
        ),
        about="For one session: source <(unet-repro completion bash).",
    ),
}

# Hydra's flags that this command line supports -> what they do.
HYDRA_FLAGS = {
    "-m, --multirun": "sweep comma-separated values, and train an experiment's arms",
    "--cfg job": "print the composed configuration and exit; with --resolve, interpolations are resolved",
    "--info KIND": "print how the configuration was composed: defaults, config, searchpath, plugins",
    "--config-dir DIR": "a folder with your own files, such as DIR/experiment/mine.yaml",
}
