# JupyterLab in this workspace (`make lab`): a saved notebook is always a clean one, so running it and saving it leaves
# the file as it was. Output belongs to the executed notebooks in data/reports.
from pathlib import Path

from ringbound.notebooks.export import export_after_save
from ringbound.notebooks.source import clean_on_save

c = get_config()  # noqa: F821 - Jupyter provides it
c.FileContentsManager.pre_save_hook = clean_on_save
c.FileContentsManager.post_save_hook = export_after_save
c.ServerApp.root_dir = str(Path(__file__).resolve().parent.parent)
