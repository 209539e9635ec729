# Shorthands for the people who work on Easel; CI runs .ci/run.
PYTHON ?= .venv/bin/python

.PHONY: check lint types page test format gradio-next

check: lint types page test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

page:
	.ci/page

test:
	$(PYTHON) launch.py test

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	if [ -x node_modules/.bin/biome ]; then npm run --silent format; fi

# Whether what the page leans on of Gradio's inside is there in the newest release, too.
gradio-next:
	PYTHON=$(PYTHON) .ci/gradio-next
