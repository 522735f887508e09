"""What a process needs around its application, a component each; import the module that you need."""
