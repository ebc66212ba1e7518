"""The smallest run: two seconds, three metrics."""

import time

import runyard

print("Hello from a Runyard run")
for step in range(20):
    runyard.log("half", 0.5 ** step, step=step)
    runyard.log("square", step ** 2, step=step)
    runyard.log("wave", [0, 1, 0, -1][step % 4], step=step)
    print("step", step)
    time.sleep(0.1)
print("Done")
