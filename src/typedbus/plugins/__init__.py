"""Components that a process needs besides its application; import the module that you need."""
