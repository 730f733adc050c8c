"""Each epoch draws the classes as they come: three times as many images of pneumonia."""

balanced = False
