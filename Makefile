# Every target sets up what it needs in .venv; nothing outside this folder is touched.
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help demo test coverage lint format types imports bench sandbox check clean

help:  ## Say what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.venv/ready: pyproject.toml constraints.txt .ci/venv
	@sh .ci/venv

demo: .venv/ready  ## A local QQ platform and a bot: plays a conversation, shows what arrived
	@$(BIN)/qqbot demo

test: .venv/ready  ## The whole test suite
	@$(BIN)/python -m pytest $(ARGS)

coverage: .venv/ready  ## The test suite, with the lines that it does not reach
	@$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

lint: .venv/ready  ## Style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: .venv/ready  ## Mend style where a machine can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: .venv/ready  ## mypy --strict
	@$(BIN)/mypy
	@$(BIN)/mypy tests/typing

imports: .venv/ready  ## Who may import whom
	@$(BIN)/lint-imports --no-cache

check: lint types imports test  ## All of the above

bench: .venv/ready  ## The product's bot beside a minimal one, as ratios
	@$(BIN)/python -m benchmarks $(ARGS)

sandbox: .venv/ready  ## A QQ platform on this machine, to try a bot against
	@$(BIN)/qqbot sandbox

clean:  ## Remove what make made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache demo-output
