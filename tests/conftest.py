import hypothesis

# Machines that run tests are busy; how long one example takes says nothing.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")
