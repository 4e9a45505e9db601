# SPDX-License-Identifier: Apache-2.0
"""Results: a line for each check, below what is wrong."""
failed = []


def check(name, problems):
    problems = [p for p in problems if p]
    for problem in problems[:20]:
        print("  " + str(problem))
    if problems:
        failed.append(name)
    print(("FAIL " if problems else "ok ") + name, flush=True)
